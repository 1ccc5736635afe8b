"""Writes the ids of its processes, Python's and Spark's, to the file that its argument names, and never ends by itself."""

import os
import sys
import time
from pathlib import Path

from pyspark.sql import SparkSession

if __name__ == "__main__":
    spark = SparkSession.builder.getOrCreate()
    jvm = spark.sparkContext._jvm.java.lang.ProcessHandle.current().pid()
    written = Path(sys.argv[1] + ".new")
    written.write_text(f"{os.getpid()} {jvm}")
    # Whoever waits for the file must not see half of it.
    written.rename(sys.argv[1])
    while True:
        time.sleep(1)
