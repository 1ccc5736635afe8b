//! Telling the gateway's flags of `lamplighter submit` from spark-submit's.
//!
//! spark-submit's command line is taken unchanged, with the gateway's own flags anywhere before the program. Clap
//! can't read such a mixture, so [`arrange`] sorts it first: the gateway's flags to the front, then `--`, then
//! everything that is spark-submit's, in its order. Which flags are the gateway's is read off the very declaration
//! that clap parses with.

use std::ffi::{OsStr, OsString};

use clap::{Arg, Command};

/// spark-submit's options without a value; every other one has its value in the next argument.
const SWITCHES: [&str; 8] =
    ["--help", "-h", "--verbose", "-v", "--version", "--supervise", "--usage-error", "--load-spark-defaults"];

/// Sorts the arguments (the program's name first) of `command` if they are a `submit`; others stay as they are.
/// The command must be built, so that its subcommands know the global flags.
pub(crate) fn arrange(args: Vec<OsString>, command: &Command) -> Vec<OsString> {
    let Some(at) = subcommand_at(&args, command).filter(|&at| args[at] == *"submit") else { return args };
    let Some(submit) = command.find_subcommand("submit") else { return args };
    let (own, spark) = split(&args[at + 1..], |argument| flag(argument, submit));
    let mut arranged = args[..=at].to_vec();
    arranged.extend(own);
    arranged.push("--".into());
    arranged.extend(spark);
    arranged
}

/// Where the subcommand stands: the first argument that is neither a flag nor a flag's value.
fn subcommand_at(args: &[OsString], command: &Command) -> Option<usize> {
    let mut at = 1;
    while at < args.len() && is_option(&args[at]) {
        at += if flag(&args[at], command) == Some(Value::Next) { 2 } else { 1 };
    }
    (at < args.len()).then_some(at)
}

fn split(args: &[OsString], known: impl Fn(&OsStr) -> Option<Value>) -> (Vec<OsString>, Vec<OsString>) {
    let (mut own, mut spark) = (Vec::new(), Vec::new());
    let mut rest = args.iter();
    while let Some(argument) = rest.next() {
        if !is_option(argument) {
            spark.push(argument.clone());
            spark.extend(rest.cloned());
            break;
        }
        let (side, value) = match known(argument) {
            Some(value) => (&mut own, value),
            None => (&mut spark, spark_value(argument)),
        };
        side.push(argument.clone());
        if value == Value::Next {
            side.extend(rest.next().cloned());
        }
    }
    (own, spark)
}

/// Where the value of a flag is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Value {
    /// It has none, or it stands in the same argument.
    Here,
    /// It is the next argument.
    Next,
}

fn is_option(argument: &OsStr) -> bool {
    argument.as_encoded_bytes().starts_with(b"-")
}

/// If `argument` is a flag of `command`: where its value is.
fn flag(argument: &OsStr, command: &Command) -> Option<Value> {
    let text = argument.to_str()?;
    if let Some(long) = text.strip_prefix("--") {
        let (name, inline) = long.split_once('=').map_or((long, false), |(name, _)| (name, true));
        let arg = command.get_arguments().find(|arg| arg.get_long() == Some(name))?;
        return Some(if takes_value(arg) && !inline { Value::Next } else { Value::Here });
    }
    // Short flags can stand together, and the last can have its value attached: `-dq`, `-ojson`.
    let mut letters = text.strip_prefix('-')?.chars();
    while let Some(letter) = letters.next() {
        let arg = command.get_arguments().find(|arg| arg.get_short() == Some(letter))?;
        if takes_value(arg) {
            return Some(if letters.as_str().is_empty() { Value::Next } else { Value::Here });
        }
    }
    (text.len() > 1).then_some(Value::Here)
}

fn takes_value(arg: &Arg) -> bool {
    arg.get_action().takes_values()
}

fn spark_value(argument: &OsStr) -> Value {
    let inline = argument.as_encoded_bytes().contains(&b'=');
    let switch = SWITCHES.iter().any(|switch| argument == *switch);
    if inline || switch { Value::Here } else { Value::Next }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::Cli;
    use clap::CommandFactory;
    use expect_test::{Expect, expect};

    fn check(line: &str, expected: &Expect) {
        let mut command = Cli::command();
        command.build();
        let args = line.split(' ').map(OsString::from).collect();
        let arranged = arrange(args, &command);
        let words: Vec<&str> = arranged.iter().filter_map(|word| word.to_str()).collect();
        expected.assert_eq(&words.join(" "));
    }

    #[test]
    fn flags_of_the_gateway_come_first() {
        check(
            "lamplighter submit --master local[2] --detach -q --conf a=b --backend local app.py --detach -x",
            &expect![
                "lamplighter submit --detach -q --backend local -- --master local[2] --conf a=b app.py --detach -x"
            ],
        );
        check(
            "lamplighter submit -v --max-attempts=3 --supervise --label team=core -c k=v -dq a.jar",
            &expect!["lamplighter submit --max-attempts=3 --label team=core -dq -- -v --supervise -c k=v a.jar"],
        );
    }

    #[test]
    fn values_that_look_like_flags_stay_values() {
        check(
            "lamplighter submit --name --detach --driver-java-options -Dx=y app.py",
            &expect!["lamplighter submit -- --name --detach --driver-java-options -Dx=y app.py"],
        );
        check("lamplighter submit --conf=a=b app.py", &expect!["lamplighter submit -- --conf=a=b app.py"]);
    }

    #[test]
    fn global_flags_may_stand_on_both_sides() {
        check(
            "lamplighter --url http://h:1 submit --color never --url=http://i:2 app.py",
            &expect!["lamplighter --url http://h:1 submit --color never --url=http://i:2 -- app.py"],
        );
    }

    #[test]
    fn help_and_version_are_those_of_spark_submit() {
        check("lamplighter submit --help", &expect!["lamplighter submit -- --help"]);
        check("lamplighter submit -q -h", &expect!["lamplighter submit -q -- -h"]);
        check("lamplighter submit --version", &expect!["lamplighter submit -- --version"]);
    }

    #[test]
    fn other_commands_stay() {
        check("lamplighter --url submit ps -q", &expect!["lamplighter --url submit ps -q"]);
        check("lamplighter", &expect!["lamplighter"]);
        check("lamplighter logs submit --tail 5", &expect!["lamplighter logs submit --tail 5"]);
    }

    /// The list of switches is spark-submit's own: the parser of its command line agrees with it.
    #[test]
    fn switches_are_those_without_a_value() {
        for switch in SWITCHES {
            let parsed = model::spark_submit::parse(&[switch.to_owned()]);
            let wants_value =
                parsed.err().unwrap_or_default().iter().any(|problem| problem.what.contains("has no value"));
            assert!(!wants_value, "{switch}");
        }
    }

    #[test]
    fn no_flag_is_also_one_of_spark_submit() {
        let mut command = Cli::command();
        command.build();
        let submit = command.find_subcommand("submit").into_iter().flat_map(Command::get_arguments);
        for arg in submit.filter(|arg| !arg.is_positional()) {
            let long = arg.get_long().map(|name| format!("--{name}"));
            let short = arg.get_short().map(|letter| format!("-{letter}"));
            for name in long.into_iter().chain(short) {
                let problems =
                    model::spark_submit::parse(&[name.clone(), "x".into(), "x.py".into()]).err().unwrap_or_default();
                assert!(problems.iter().any(|problem| problem.what.contains("is no option")), "{name}");
            }
        }
    }
}
