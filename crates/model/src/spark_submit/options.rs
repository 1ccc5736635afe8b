//! The table of spark-submit's options, those of every version the gateway supports.

use super::keys;

/// One option and what it does.
#[derive(Debug, Clone, Copy)]
pub(super) struct SubmitOption {
    /// Its long name, with the dashes.
    pub(super) name: &'static str,
    /// `-c` and the like.
    short: Option<&'static str>,
    pub(super) takes: Takes,
}

/// Whether a value follows.
#[derive(Debug, Clone, Copy)]
pub(super) enum Takes {
    Nothing,
    Value(Recipient),
}

/// What the value of an option is for.
#[derive(Debug, Clone, Copy)]
pub(super) enum Recipient {
    /// It is the value of this key.
    Key(&'static str),
    /// It is a key with its value.
    Assignment,
    ClassName,
    PropertiesFile,
    ExtraPropertiesFile,
    ProxyUser,
    Kill,
    Status,
}

pub(super) const HELP: &str = "--help";
pub(super) const LOAD_SPARK_DEFAULTS: &str = "--load-spark-defaults";
pub(super) const SUPERVISE: &str = "--supervise";
pub(super) const VERBOSE: &str = "--verbose";
pub(super) const VERSION: &str = "--version";

const OPTIONS: &[SubmitOption] = &[
    key("--archives", keys::ARCHIVES),
    key("--deploy-mode", keys::DEPLOY_MODE),
    key("--driver-class-path", "spark.driver.extraClassPath"),
    key("--driver-cores", keys::DRIVER_CORES),
    key("--driver-default-class-path", "spark.driver.defaultExtraClassPath"),
    key("--driver-java-options", keys::DRIVER_JAVA_OPTIONS),
    key("--driver-library-path", "spark.driver.extraLibraryPath"),
    key("--driver-memory", keys::DRIVER_MEMORY),
    key("--exclude-packages", "spark.jars.excludes"),
    key("--executor-cores", keys::EXECUTOR_CORES),
    key("--executor-memory", keys::EXECUTOR_MEMORY),
    key("--files", keys::FILES),
    key("--jars", keys::JARS),
    key("--keytab", keys::KEYTAB),
    key("--master", keys::MASTER),
    key("--name", keys::APP_NAME),
    key("--num-executors", keys::EXECUTOR_INSTANCES),
    key("--packages", "spark.jars.packages"),
    key("--principal", keys::PRINCIPAL),
    key("--py-files", keys::PY_FILES),
    key("--queue", "spark.yarn.queue"),
    key("--remote", keys::REMOTE),
    key("--repositories", "spark.jars.repositories"),
    key("--total-executor-cores", keys::TOTAL_EXECUTOR_CORES),
    value("--class", Recipient::ClassName),
    SubmitOption { name: "--conf", short: Some("-c"), takes: Takes::Value(Recipient::Assignment) },
    value("--extra-properties-file", Recipient::ExtraPropertiesFile),
    value("--kill", Recipient::Kill),
    value("--properties-file", Recipient::PropertiesFile),
    value("--proxy-user", Recipient::ProxyUser),
    value("--status", Recipient::Status),
    SubmitOption { name: HELP, short: Some("-h"), takes: Takes::Nothing },
    SubmitOption { name: LOAD_SPARK_DEFAULTS, short: None, takes: Takes::Nothing },
    SubmitOption { name: SUPERVISE, short: None, takes: Takes::Nothing },
    SubmitOption { name: "--usage-error", short: None, takes: Takes::Nothing },
    SubmitOption { name: VERBOSE, short: Some("-v"), takes: Takes::Nothing },
    SubmitOption { name: VERSION, short: None, takes: Takes::Nothing },
];

const fn key(name: &'static str, key: &'static str) -> SubmitOption {
    value(name, Recipient::Key(key))
}

const fn value(name: &'static str, recipient: Recipient) -> SubmitOption {
    SubmitOption { name, short: None, takes: Takes::Value(recipient) }
}

/// The option spelled `name`, long or short.
pub(super) fn find(name: &str) -> Option<&'static SubmitOption> {
    OPTIONS.iter().find(|option| option.name == name || option.short == Some(name))
}

/// The option that `name` is probably a misspelling of: the one with the fewest edits between them, if they are
/// few for its length.
pub(super) fn nearest(name: &str) -> Option<&'static SubmitOption> {
    // Beyond this a name is no misspelling, and comparing it would cost its length times that of every option.
    const LONGEST_CHARS: usize = 40;
    let word: Vec<char> = name.trim_start_matches('-').to_ascii_lowercase().chars().take(LONGEST_CHARS).collect();
    OPTIONS
        .iter()
        .map(|option| (edits(&word, option.name.trim_start_matches('-')), option))
        .min_by_key(|(edits, _)| *edits)
        .filter(|(edits, option)| *edits <= option.name.len() / 4)
        .map(|(_, option)| option)
}

/// How many insertions, deletions, replacements and swaps of neighbours turn `left` into `right`.
fn edits(left: &[char], right: &str) -> usize {
    let right: Vec<char> = right.chars().collect();
    let mut before_previous: Vec<usize> = Vec::new();
    let mut previous: Vec<usize> = (0..=right.len()).collect();
    for (i, l) in left.iter().enumerate() {
        let mut current = vec![i + 1];
        for (j, r) in right.iter().enumerate() {
            let replaced = previous[j] + usize::from(l != r);
            let mut fewest = replaced.min(previous[j + 1] + 1).min(current[j] + 1);
            if i > 0 && j > 0 && left[i - 1] == *r && right[j - 1] == *l {
                fewest = fewest.min(before_previous[j - 1] + 1);
            }
            current.push(fewest);
        }
        before_previous = std::mem::replace(&mut previous, current);
    }
    previous[right.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn misspellings_lead_to_the_option_meant() {
        for (written, meant) in [
            ("--executor-memroy", Some("--executor-memory")),
            ("--executors-cores", Some("--executor-cores")),
            ("--driver_memory", Some("--driver-memory")),
            ("-conf", Some("--conf")),
            ("--Master", Some("--master")),
            ("--pyfiles", Some("--py-files")),
            ("--output", None),
            ("-x", None),
            ("-", None),
        ] {
            assert_eq!(nearest(written).map(|option| option.name), meant, "{written}");
        }
    }

    #[test]
    fn every_option_is_found_by_its_own_name() {
        for option in OPTIONS {
            assert_eq!(find(option.name).map(|found| found.name), Some(option.name));
            assert_eq!(nearest(option.name).map(|found| found.name), Some(option.name));
        }
    }
}
