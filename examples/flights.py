"""Delays of flights by airport and month, from a Parquet file of single flights.

Arguments: the input (columns date, delay in minutes, distance in miles, origin, destination) and the folder for the
result, which is written as Parquet and replaced if it is there. The busiest airports are printed as a table.
"""

import sys

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as f

#: From here on the authorities call a flight late.
LATE_MINUTES = 15
#: A month with fewer flights says little about an airport.
MANY = 100


def delays_by_month(flights: DataFrame) -> DataFrame:
    """One row per airport and month: flights, mean delay in minutes, share of late flights."""
    return flights.groupBy("origin", f.month("date").alias("month")).agg(
        f.count("*").alias("flights"),
        f.round(f.avg("delay"), 1).alias("mean_delay"),
        f.round(f.avg((f.col("delay") >= LATE_MINUTES).cast("int")), 3).alias("late_share"),
    )


def busiest(by_month: DataFrame) -> DataFrame:
    """The airports with the most flights, over all months."""
    return (
        by_month.groupBy("origin")
        .agg(
            f.sum("flights").alias("flights"),
            f.round(f.sum(f.col("mean_delay") * f.col("flights")) / f.sum("flights"), 1).alias("mean_delay"),
            f.max_by("month", f.when(f.col("flights") >= MANY, f.col("mean_delay"))).alias("worst_month"),
        )
        .orderBy(f.desc("flights"), "origin")
    )


def main(source: str, target: str) -> None:
    spark = SparkSession.builder.getOrCreate()
    try:
        delays_by_month(spark.read.parquet(source)).write.mode("overwrite").parquet(target)
        by_month = spark.read.parquet(target)
        print(f"{by_month.count()} rows in {target}", flush=True)
        busiest(by_month).show(10)
    finally:
        spark.stop()


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit("usage: flights.py INPUT OUTPUT")
    main(sys.argv[1], sys.argv[2])
