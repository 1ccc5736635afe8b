"""Runs a small Spark job and prints what it was given: its arguments and, of its conf, `spark.example.key`."""

import sys

from pyspark.sql import SparkSession

if __name__ == "__main__":
    spark = SparkSession.builder.getOrCreate()
    print(f"arguments: {sys.argv[1:]}")
    print(f"conf: {spark.conf.get('spark.example.key', 'none')}")
    print(f"sum: {spark.range(1000).groupBy().sum().first()[0]}")
    print(f"spark: {spark.version}", flush=True)
    spark.stop()
