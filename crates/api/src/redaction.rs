//! Hides secrets in what clients gave besides Spark's configuration: arguments and URIs.

use model::spark_conf::{REDACTED, is_secret};

/// The arguments of a program, with stars in place of the values of those whose name tells a secret, `--password x`
/// and `--password=x`, and of passwords in URIs.
pub(crate) fn args(args: &[String]) -> Vec<String> {
    let mut shown = Vec::with_capacity(args.len());
    let mut value_is_secret = false;
    for arg in args {
        let is_flag = arg.starts_with('-');
        let hide = std::mem::take(&mut value_is_secret) && !is_flag;
        shown.push(if hide {
            REDACTED.to_owned()
        } else if let Some((name, _)) = arg.split_once('=').filter(|(name, _)| is_secret(name)) {
            format!("{name}={REDACTED}")
        } else {
            value_is_secret = is_flag && is_secret(arg);
            uris(arg)
        });
    }
    shown
}

/// `text` with stars in place of the passwords of its URIs, `scheme://user:password@host`.
pub(crate) fn uris(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("://") {
        shown.push_str(before);
        shown.push_str("://");
        let ends_authority = |c: char| matches!(c, '/' | '?' | '#' | ',' | '"') || c.is_whitespace();
        let (authority, behind) = after.split_at(after.find(ends_authority).unwrap_or(after.len()));
        match authority.rsplit_once('@').and_then(|(user, host)| Some((user.split_once(':')?.0, host))) {
            Some((user, host)) => shown.extend([user, ":", REDACTED, "@", host]),
            None => shown.push_str(authority),
        }
        rest = behind;
    }
    shown.push_str(rest);
    shown
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};
    use proptest::prelude::*;

    use super::*;

    fn check(given: &[&str], expected: &Expect) {
        let given: Vec<String> = given.iter().map(|&arg| arg.to_owned()).collect();
        expected.assert_eq(&args(&given).join(" "));
    }

    #[test]
    fn secrets_are_hidden_and_nothing_else() {
        check(&["--date", "2026-11-21", "--n=3", "x"], &expect!["--date 2026-11-21 --n=3 x"]);
        check(&["--password", "x", "--next", "y"], &expect!["--password *********(redacted) --next y"]);
        check(&["--db-password=x=y", "z"], &expect!["--db-password=*********(redacted) z"]);
        check(&["--no-token", "--out", "o"], &expect!["--no-token --out o"]);
        check(
            &["--url", "jdbc:postgresql://me:pw@db:5432/x", "s3a://k:s@b/p,s3a://c/@d:e"],
            &expect![
                "--url jdbc:postgresql://me:*********(redacted)@db:5432/x s3a://k:*********(redacted)@b/p,s3a://c/@d:e"
            ],
        );
    }

    proptest! {
        #[test]
        fn texts_without_at_signs_stay(text in "[a-z:/,?#=é-]{0,40}") {
            prop_assert_eq!(uris(&text), text);
        }
    }
}
