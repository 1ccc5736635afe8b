//! spark-submit's options, for `lamplighter submit --help`.

/// Printed below the gateway's own options.
pub(super) const SPARK_SUBMIT: &str = "\
Options of spark-submit, which mean what they mean there:
      --master URL                 local, local[N] or local[*]; others need a backend of their type
      --deploy-mode MODE           client or cluster
      --class NAME                 main class of a Java or Scala program
      --name NAME                  name that Spark shows
  -c, --conf KEY=VALUE             one key of Spark's configuration; repeat it for several
      --properties-file FILE       configuration as Java properties; read here, not by the gateway
      --load-spark-defaults        read spark-defaults.conf even beside a properties file; always done
      --jars FILES                 jars for driver and executors, separated by commas
      --packages COORDINATES       Maven artifacts, group:artifact:version
      --exclude-packages NAMES     artifacts to leave out, group:artifact
      --repositories URLS          further Maven repositories
      --py-files FILES             Python modules, zips and eggs
      --files FILES                files for the working folders of the executors
      --archives FILES             archives to unpack there, each perhaps with #NAME
      --driver-memory SIZE         512m, 2g
      --driver-cores N
      --driver-java-options TEXT   options of the driver's JVM
      --driver-library-path PATH
      --driver-class-path PATH
      --executor-memory SIZE
      --executor-cores N
      --total-executor-cores N
      --num-executors N
      --queue NAME
      --proxy-user NAME            user to impersonate towards Hadoop
      --principal NAME             for Kerberos, with --keytab FILE
      --supervise                  restart the driver; standalone clusters only
      --status ID                  the same as `lamplighter show ID`
      --kill ID                    the same as `lamplighter kill ID`
  -v, --verbose                    show the submitted application on standard error
      --version                    print versions
  -h, --help                       print this

Relative paths start from the current folder. Behind the program everything is the program's.
The exit code is the program's: 128 + n for signal n. Ctrl-C cancels the application and waits for its end; a second
one stops waiting.

Examples:
  alias spark-submit='lamplighter submit'
  lamplighter submit --master 'local[2]' --label team=core daily.py --day 2026-11-20
  lamplighter submit --detach --class com.example.Main app.jar
";
