"""Fails as users' programs do, after Spark has started."""

from pyspark.sql import SparkSession

if __name__ == "__main__":
    SparkSession.builder.getOrCreate()
    raise ValueError("no such flight")
