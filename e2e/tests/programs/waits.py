"""Says that it began, waits for a sign, and ends with a code: waits.py OUTSIDE NAME CODE"""

import sys
import time
from urllib.error import HTTPError
from urllib.request import urlopen

outside, name, code = sys.argv[1:]


def ask(sign):
    try:
        return urlopen(f"{outside}/{sign}-{name}", timeout=5).status
    except HTTPError as error:
        return error.code


ask("began")
print("began", flush=True)
while ask("go") != 200:
    time.sleep(0.05)
print("over", flush=True)
sys.exit(int(code))
