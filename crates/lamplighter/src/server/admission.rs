//! What every door asks of an application before it is stored: a bounded size, and the rules about conf keys and
//! local files. The doors put it into their own words.

use engine::backend::Problem;
use livy::create::{FileProblem, Rules, file_keys};
use model::spec::ApplicationSpec;

/// Bytes of one argument: Linux starts no program with a longer one (`MAX_ARG_STRLEN`, which counts a NUL).
const ARG_BYTES_MAX: usize = (128 << 10) - 1;
/// Bytes of all texts of a specification, which is kept in memory and in every list.
const SPEC_BYTES_MAX: usize = 1 << 20;
/// What stands for a program that comes with Spark.
const SPARK_INTERNAL: &str = "spark-internal";

/// Everything that forbids a specification.
pub(super) fn problems(rules: &Rules, spec: &ApplicationSpec) -> Vec<Problem> {
    let mut problems = Vec::new();
    let mut refuse = |field: &str, message: String| problems.push(Problem { field: field.to_owned(), message });
    for (index, arg) in spec.args.iter().enumerate().filter(|(_, arg)| arg.len() > ARG_BYTES_MAX) {
        let (number, bytes) = (index + 1, arg.len());
        refuse("args", format!("argument {number} has {bytes} bytes; a program can be given at most {ARG_BYTES_MAX}"));
    }
    if spec.resource.len() > ARG_BYTES_MAX {
        refuse("resource", format!("is longer than {ARG_BYTES_MAX} bytes"));
    }
    let bytes = text_bytes(spec);
    if bytes > SPEC_BYTES_MAX {
        refuse(
            "",
            format!("arguments, conf and all else have {bytes} bytes together; at most {SPEC_BYTES_MAX} are taken"),
        );
    }
    for (key, _) in spec.conf.iter().filter(|(key, _)| rules.denies(key)) {
        refuse(key, "the gateway's configuration denies this key".to_owned());
    }
    if rules.local_dir_allow_list.is_some() {
        let lists = file_keys().filter_map(|key| Some((key, spec.conf.get(key)?)));
        let listed = lists.flat_map(|(key, list)| list.split(',').map(move |file| (key, file.trim())));
        let program = Some(("resource", spec.resource.as_str())).filter(|(_, file)| *file != SPARK_INTERNAL);
        for (field, file) in program.into_iter().chain(listed).filter(|(_, file)| !file.is_empty()) {
            if let Err(problem) = rules.check_file(file) {
                refuse(field, sentence(problem));
            }
        }
    }
    problems
}

fn sentence(problem: FileProblem) -> String {
    match problem {
        FileProblem::Malformed(why) => why,
        FileProblem::Relative(path) => format!("`{path}` is not absolute"),
        FileProblem::Scheme(scheme) => format!("the gateway's configuration doesn't allow the scheme `{scheme}`"),
        FileProblem::Elsewhere(path) => format!("`{path}` is in no folder that the gateway's configuration allows"),
    }
}

/// Bytes of all texts in a specification.
pub(super) fn text_bytes(spec: &ApplicationSpec) -> usize {
    let single = [&spec.name, &spec.class_name, &spec.proxy_user, &spec.external_id];
    let pairs = spec.conf.iter().chain(spec.labels.iter());
    spec.resource.len()
        + single.into_iter().flatten().map(String::len).sum::<usize>()
        + spec.args.iter().map(String::len).sum::<usize>()
        + pairs.map(|(key, value)| key.len() + value.len()).sum::<usize>()
}
