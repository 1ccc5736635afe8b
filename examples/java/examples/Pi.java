package examples;

import java.util.Collections;
import java.util.concurrent.ThreadLocalRandom;
import org.apache.spark.SparkConf;
import org.apache.spark.api.java.JavaSparkContext;

/**
 * Estimates pi by throwing darts at a square and counting those that hit the circle in it.
 *
 * <p>Arguments: the number of tasks (2 unless given).
 */
public final class Pi {
    private static final int DARTS_PER_TASK = 5_000_000;

    private Pi() {}

    public static void main(String[] args) {
        int tasks = args.length > 0 ? Integer.parseInt(args[0]) : 2;
        try (JavaSparkContext spark = new JavaSparkContext(new SparkConf().setIfMissing("spark.app.name", "pi"))) {
            long hits =
                    spark.parallelize(Collections.nCopies(tasks, DARTS_PER_TASK), tasks)
                            .map(Pi::hits)
                            .reduce(Long::sum);
            double darts = (double) tasks * DARTS_PER_TASK;
            System.out.println("Pi is roughly " + 4.0 * hits / darts);
        }
    }

    private static long hits(int darts) {
        ThreadLocalRandom random = ThreadLocalRandom.current();
        long hits = 0;
        for (int dart = 0; dart < darts; dart++) {
            double x = random.nextDouble();
            double y = random.nextDouble();
            if (x * x + y * y <= 1) {
                hits++;
            }
        }
        return hits;
    }
}
