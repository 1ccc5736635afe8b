//! spark-submit's command line: examples of every option, and any arguments at all.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use expect_test::{Expect, expect};
use model::spark_conf::SparkConf;
use model::spark_submit::{self, Action, CommandLine, SparkSubmit};
use proptest::collection::vec;
use proptest::prelude::*;
use std::fmt::Write as _;
use std::path::Path;

/// Splits at blanks; `_` stands for a blank inside an argument.
fn words(line: &str) -> Vec<String> {
    line.split_whitespace().map(|word| word.replace('_', " ")).collect()
}

fn parse(line: &str) -> SparkSubmit {
    spark_submit::parse(&words(line)).unwrap()
}

fn check(line: &str, expected: &Expect) {
    expected.assert_eq(&match spark_submit::parse(&words(line)) {
        Ok(submit) => show(&submit),
        Err(problems) => problems.iter().fold(String::new(), |text, problem| text + &format!("{problem}\n")),
    });
}

fn show(submit: &SparkSubmit) -> String {
    let mut text = match &submit.action {
        Action::Submit(program) => {
            format!("run {} class {:?} args {:?}\n", program.resource, program.class_name, program.args)
        }
        other => format!("{other:?}\n"),
    };
    for (key, value) in submit.conf.iter() {
        writeln!(text, "{key}={value}").unwrap();
    }
    for file in submit.properties_file.iter().chain(&submit.extra_properties_files) {
        writeln!(text, "file {file}").unwrap();
    }
    for (word, set) in [("verbose", submit.verbose), ("spark-defaults.conf", submit.load_spark_defaults)] {
        text.push_str(&if set { format!("{word}\n") } else { String::new() });
    }
    submit.proxy_user.iter().for_each(|user| writeln!(text, "as {user}").unwrap());
    text
}

#[test]
fn options_that_stand_for_a_key() {
    check(
        "--master yarn --deploy-mode cluster --name My_job --queue q --jars a.jar,b.jar --packages g:a:1 \
         --exclude-packages g:b --repositories https://r --py-files p.zip --files f --archives e.zip#e \
         --driver-memory 2g --driver-cores 2 --driver-java-options -Da=b --driver-library-path /l \
         --driver-class-path /c --driver-default-class-path /d --executor-memory 4g --executor-cores 3 \
         --total-executor-cores 12 --num-executors 4 --principal me --keytab k --supervise app.py",
        &expect![[r#"
            run app.py class None args []
            spark.app.name=My job
            spark.archives=e.zip#e
            spark.cores.max=12
            spark.driver.cores=2
            spark.driver.defaultExtraClassPath=/d
            spark.driver.extraClassPath=/c
            spark.driver.extraJavaOptions=-Da=b
            spark.driver.extraLibraryPath=/l
            spark.driver.memory=2g
            spark.driver.supervise=true
            spark.executor.cores=3
            spark.executor.instances=4
            spark.executor.memory=4g
            spark.files=f
            spark.jars=a.jar,b.jar
            spark.jars.excludes=g:b
            spark.jars.packages=g:a:1
            spark.jars.repositories=https://r
            spark.kerberos.keytab=k
            spark.kerberos.principal=me
            spark.master=yarn
            spark.submit.deployMode=cluster
            spark.submit.pyFiles=p.zip
            spark.yarn.queue=q
        "#]],
    );
}

#[test]
fn options_that_stand_for_themselves() {
    check(
        "--class=a.B --properties-file p --extra-properties-file x --extra-properties-file y --load-spark-defaults \
         --proxy-user bob -v -c spark.a=b=c --conf=spark.d=e app.jar",
        &expect![[r#"
            run app.jar class Some("a.B") args []
            spark.a=b=c
            spark.d=e
            file p
            file x
            file y
            verbose
            spark-defaults.conf
            as bob
        "#]],
    );
    check(
        "--remote sc://host app.py",
        &expect![[r#"
        run app.py class None args []
        spark.remote=sc://host
    "#]],
    );
}

#[test]
fn what_follows_the_program_is_its_own() {
    check(
        "app.py --master yarn --help -x=1 a_b",
        &expect![[r#"
        run app.py class None args ["--master", "yarn", "--help", "-x=1", "a b"]
    "#]],
    );
}

#[test]
fn an_option_wins_over_conf_and_the_last_over_those_before() {
    check(
        "--conf spark.master=yarn --name a --master local[2] --name b --conf spark.app.name=c app.py",
        &expect![[r#"
            run app.py class None args []
            spark.app.name=b
            spark.master=local[2]
        "#]],
    );
}

#[test]
fn other_actions_need_no_program() {
    check(
        "--kill driver-1 --master spark://a:7077",
        &expect![[r#"
        Kill("driver-1")
        spark.master=spark://a:7077
    "#]],
    );
    check(
        "--status=driver-1",
        &expect![[r#"
        Status("driver-1")
    "#]],
    );
    check(
        "--name a --version --no-such-option",
        &expect![[r#"
        Version
        spark.app.name=a
    "#]],
    );
    check(
        "-h",
        &expect![[r#"
        Help
    "#]],
    );
    check(
        "--kill a --deploy-mode b --master c",
        &expect![[r#"
        --master (spark.master): master `c` is none of local[N], spark://HOST:PORT, yarn and k8s://URL; correct it, or leave it out
        --deploy-mode (spark.submit.deployMode): is `b`; write client or cluster
    "#]],
    );
    check(
        "--kill a --status b",
        &expect![[r#"
        --status: comes after another --kill or --status; ask for one submission at a time
    "#]],
    );
    check(
        "--usage-error",
        &expect![[r#"
        --usage-error: is what Spark's own scripts pass to end with the usage; use --help
        program: is missing; name a JAR, Python or R file behind the options
    "#]],
    );
}

#[test]
fn all_problems_are_reported_together() {
    check(
        "--executor-memroy 4g --mastre=yarn --verbose=no --name= --conf spark.x --conf =y --driver-memory 1.5g \
         --executor-cores two --num-executors 0 --driver-java-options -Xmx1g --deploy-mode remote --class",
        &expect![[r#"
            --executor-memroy: is no option of spark-submit; did you mean --executor-memory?
            --mastre: is no option of spark-submit; did you mean --master?
            --verbose: takes no value; write --verbose alone, or leave it out
            --name: has nothing behind its `=`, or more than one line; write the value as an argument of its own, --name VALUE
            --conf: conf `spark.x` has no `=`; write --conf key=value
            --conf: conf key is empty; write --conf key=value
            --class: has no value; write --class VALUE
            program: is missing; name a JAR, Python or R file behind the options
            --deploy-mode (spark.submit.deployMode): is `remote`; write client or cluster
            --driver-memory (spark.driver.memory): size `1.5g` has a fraction, which Spark refuses; write a size such as 512m or 4g
            --executor-cores (spark.executor.cores): `two` is no whole number above 0; write a number such as 2
            --num-executors (spark.executor.instances): `0` is no whole number above 0; write a number such as 2
            --driver-java-options (spark.driver.extraJavaOptions): sets the heap with -Xmx, which Spark refuses; use --driver-memory
        "#]],
    );
    check(
        "",
        &expect![[r#"
        program: is missing; name a JAR, Python or R file behind the options
    "#]],
    );
}

#[test]
fn what_excludes_each_other_is_refused() {
    check(
        "--master local[4] --deploy-mode cluster app.py",
        &expect![[r#"
            --deploy-mode (spark.submit.deployMode): is cluster, but a local master has no cluster to put the driver on; leave it out, or name a cluster with --master
        "#]],
    );
    check(
        "--remote sc://a --master yarn app.py",
        &expect![[r#"
        --remote (spark.remote): can't stand beside --master or --deploy-mode: the server it names has its own; use one of them
    "#]],
    );
    check(
        "--proxy-user a --principal b app.py",
        &expect![[r#"
        --proxy-user: can't stand beside --principal; use one of them
    "#]],
    );
    check(
        "--num-executors 0 --conf spark.dynamicAllocation.enabled=TRUE app.py",
        &expect![[r#"
            run app.py class None args []
            spark.dynamicAllocation.enabled=TRUE
            spark.executor.instances=0
        "#]],
    );
}

#[test]
fn shells_are_refused_by_name() {
    check(
        "spark-shell",
        &expect![[r#"
        program: `spark-shell` is a shell, not a program to run to its end; name a JAR, Python or R file behind the options
    "#]],
    );
    check(
        "pyspark-shell",
        &expect![[r#"
        program: `pyspark-shell` is a shell, not a program to run to its end; name a JAR, Python or R file behind the options
    "#]],
    );
    check(
        "--class org.apache.spark.repl.Main sparkr-shell",
        &expect![[r#"
            program: `sparkr-shell` is a shell, not a program to run to its end; name a JAR, Python or R file behind the options
            --class: `org.apache.spark.repl.Main` is a shell or server of Spark's own, which mixes its arguments with spark-submit's options; name the main class of your own program
        "#]],
    );
}

#[test]
fn properties_files_fill_the_gaps() {
    let mut submit = parse("--properties-file p --master yarn app.py");
    let properties = SparkConf::from_properties("spark.master local\nspark.executor.cores 0").unwrap();
    submit.fill_in(&properties).unwrap();
    assert!(!submit.uses_installation_defaults());
    let problems: Vec<String> = submit.check().iter().map(ToString::to_string).collect();
    expect![[r#"
        run app.py class None args []
        spark.executor.cores=0
        spark.master=yarn
        file p
        --executor-cores (spark.executor.cores): `0` is no whole number above 0; write a number such as 2"#]]
    .assert_eq(&format!("{}{}", show(&submit), problems.join("\n")));
}

#[test]
fn the_name_is_found_as_spark_finds_it() {
    for (line, name) in [
        ("--name n --class a.B x.jar", "n"),
        ("--conf spark.app.name=n x.jar", "n"),
        ("--class a.B x.jar", "a.B"),
        ("s3://bucket/dir/x.py", "x.py"),
    ] {
        assert_eq!(parse(line).name(), Some(name), "{line}");
    }
}

#[test]
fn paths_start_where_they_were_typed() {
    let mut submit = parse(
        "--properties-file p --extra-properties-file /e --keytab k --jars a.jar,hdfs://n/b.jar --archives e.zip#e \
         --conf spark.files=local:/f,g/*.csv ./app.py data.csv",
    );
    submit.resolve_paths(Path::new("/home/u/")).unwrap();
    expect![[r#"
        run /home/u/app.py class None args ["data.csv"]
        spark.archives=/home/u/e.zip#e
        spark.files=local:/f,/home/u/g/*.csv
        spark.jars=/home/u/a.jar,hdfs://n/b.jar
        spark.kerberos.keytab=/home/u/k
        file /home/u/p
        file /e
    "#]]
    .assert_eq(&show(&submit));
    assert!(submit.resolve_paths(Path::new("relative")).is_err());
}

#[test]
fn the_command_line_holds_no_configuration() {
    let submit = parse("--class a.B --proxy-user bob --supervise -v --conf spark.secret=s app.jar --conf x_y");
    let arguments = submit.to_command_line(Path::new("/spark/bin/spark-submit"), Path::new("/run/7/conf")).unwrap();
    expect![[r#"["/spark/bin/spark-submit", "--properties-file", "/run/7/conf", "--class", "a.B", "--proxy-user", "bob", "--supervise", "--verbose", "app.jar", "--conf", "x y"]"#]].assert_eq(&format!("{arguments:?}"));
}

#[test]
fn programs_that_spark_submit_would_misread_are_refused() {
    for (resource, class_name, argument) in [
        ("--conf", None, ""),
        ("", None, ""),
        ("pyspark-shell", None, ""),
        ("a\0.py", None, ""),
        ("a.jar", Some("org.apache.spark.sql.hive.thriftserver.SparkSQLCLIDriver"), ""),
        ("a.jar", None, "\0"),
    ] {
        let line = CommandLine {
            spark_submit: Path::new("spark-submit"),
            properties_file: Path::new("conf"),
            class_name,
            proxy_user: None,
            supervise: false,
            verbose: false,
            resource,
            args: &[argument.to_owned()],
        };
        assert!(line.arguments().is_err(), "{line:?}");
    }
}

/// Arguments in which options and the characters they are made of are frequent.
fn arguments() -> impl Strategy<Value = Vec<String>> {
    let argument = prop_oneof![
        4 => prop::sample::select(vec![
            "--conf", "-c", "--master", "--name", "--jars", "--supervise", "--help", "--version", "--kill", "--status",
            "--class", "--driver-memory=1g", "--executor-cores=", "spark.a=b", "local[2]", "yarn", "app.py", "--", "-",
            "--jras", "a.jar,./b.jar#c", "",
        ]).prop_map(str::to_owned),
        1 => any::<String>(),
        1 => "--[a-z-]{0,20}(=.*)?",
    ];
    vec(argument, 0..10)
}

proptest! {
    #[test]
    fn any_arguments_are_read_or_explained(args in arguments()) {
        match spark_submit::parse(&args) {
            Ok(submit) => prop_assert!(submit.check().is_empty()),
            Err(problems) => prop_assert!(!problems.is_empty()),
        }
    }

    #[test]
    fn the_arguments_of_the_program_are_untouched(args in vec(any::<String>(), 0..6)) {
        let line: Vec<String> = ["--name", "n", "app.py"].map(str::to_owned).into_iter().chain(args.clone()).collect();
        match spark_submit::parse(&line).unwrap().action {
            Action::Submit(program) => prop_assert_eq!(program.args, args),
            other => prop_assert!(false, "{:?}", other),
        }
    }

    #[test]
    fn resolving_twice_is_resolving_once(args in arguments(), folder in "/[a-z#, %é]{0,6}(/[a-z]{1,3})?") {
        if let Ok(mut submit) = spark_submit::parse(&args) {
            submit.resolve_paths(Path::new(&folder)).unwrap();
            let once = submit.clone();
            submit.resolve_paths(Path::new("/elsewhere")).unwrap();
            prop_assert_eq!(submit, once);
        }
    }

    #[test]
    fn command_lines_are_read_back(args in arguments()) {
        let submit = spark_submit::parse(&args);
        if let Ok(submit) = submit
            && let Ok(line) = submit.to_command_line(Path::new("spark-submit"), Path::new("/conf"))
        {
            let line: Vec<String> = line.into_iter().skip(1).map(|word| word.into_string().unwrap()).collect();
            let again = spark_submit::parse(&line).unwrap();
            prop_assert_eq!(&again.action, &submit.action);
            prop_assert_eq!(again.proxy_user, submit.proxy_user);
            prop_assert_eq!(again.properties_file.as_deref(), Some("/conf"));
        }
    }
}
