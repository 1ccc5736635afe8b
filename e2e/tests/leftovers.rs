//! Nothing of a cluster stays on the machine, whatever is killed.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{
    fs::{self, File},
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use testkit::environment::needed;

const HOME: &str = "LAMPLIGHTER_TEST_KUBERNETES";
/// Whoever has a cluster on this machine holds it, see `e2e/cluster/hold.sh`.
const LOCK: &str = "/run/lock/lamplighter-e2e.lock";

/// Starts a cluster in a process of its own, and returns when it is ready.
fn start() -> Child {
    let mut process = Command::new(env!("CARGO_BIN_EXE_e2e"))
        .env_remove("LAMPLIGHTER_E2E_KUBECONFIG")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(process.stdout.take().unwrap()).read_line(&mut line).unwrap();
    assert!(line.starts_with("export KUBECONFIG="), "{line}");
    process
}

/// The process that holds the cluster of `process`.
fn holder_of(process: &Child) -> u32 {
    let is_child = |id: &u32| {
        let status = fs::read_to_string(format!("/proc/{id}/status")).unwrap_or_default();
        status.lines().any(|line| line == format!("PPid:\t{}", process.id()))
    };
    processes("e2e/cluster/hold.sh").into_iter().find(is_child).unwrap()
}

/// Processes whose command line has `part` in it, by their ids.
fn processes(part: &str) -> Vec<u32> {
    let ids = fs::read_dir("/proc").unwrap().filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    let has_part = |id: &u32| {
        fs::read(format!("/proc/{id}/cmdline")).is_ok_and(|line| String::from_utf8_lossy(&line).contains(part))
    };
    ids.filter(has_part).collect()
}

/// What there is of a cluster on this machine, outside its images and its last logs.
fn traces() -> Vec<String> {
    let of_processes = ["e2e/cluster/node.sh", "kubernetes-state/run"];
    let processes =
        of_processes.iter().flat_map(|part| processes(part).into_iter().map(move |id| format!("{part} {id}")));
    let links = fs::read_dir("/sys/class/net").unwrap().map(|entry| entry.unwrap().path());
    let links = links.filter(|path| path.to_string_lossy().contains("lamp-e2e"));
    let mounts = fs::read_to_string("/proc/mounts").unwrap();
    let mounts = mounts.lines().filter(|line| line.contains("kubernetes-state")).map(str::to_owned).collect::<Vec<_>>();
    let files = links.chain(control_groups()).chain(std::iter::once(run_folder()).filter(|folder| folder.exists()));
    processes.chain(files.map(|path| path.display().to_string())).chain(mounts).collect()
}

fn control_groups() -> impl Iterator<Item = PathBuf> {
    let below = fs::read_dir("/sys/fs/cgroup").unwrap().map(|entry| entry.unwrap().path());
    let roots = below.chain(std::iter::once(Path::new("/sys/fs/cgroup").to_owned()));
    roots.map(|root| root.join("lamplighter-e2e")).filter(|group| group.exists())
}

fn run_folder() -> PathBuf {
    Path::new(&std::env::var_os(HOME).unwrap()).with_file_name("kubernetes-state").join("run")
}

/// Waits until there are no traces but those that `is_expected`, while no other process may start a cluster.
fn wait_until_gone(is_expected: impl Fn(&str) -> bool) {
    let lock = File::open(LOCK).unwrap();
    lock.lock().unwrap();
    let end = Instant::now() + Duration::from_secs(60);
    loop {
        let left: Vec<_> = traces().into_iter().filter(|trace| !is_expected(trace)).collect();
        if left.is_empty() {
            return;
        }
        assert!(Instant::now() < end, "left after a minute: {left:?}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn a_killed_test_leaves_nothing_and_a_killed_holder_nothing_that_the_next_one_minds() {
    let test = "a_killed_test_leaves_nothing_and_a_killed_holder_nothing_that_the_next_one_minds";
    if std::env::var_os("LAMPLIGHTER_TEST_KUBERNETES_LACKING").is_some() || needed(test, HOME).is_none() {
        return;
    }
    let mut killed = start();
    assert!(!traces().is_empty(), "the traces are looked for where they are");
    killed.kill().unwrap();
    killed.wait().unwrap();
    wait_until_gone(|_| false);

    let mut orphan = start();
    Command::new("kill").args(["-KILL", &holder_of(&orphan).to_string()]).status().unwrap();
    // The kernel ends processes and links; control groups and files are for the next holder.
    wait_until_gone(|trace| trace.starts_with("/sys/fs/cgroup") || trace.contains("kubernetes-state/run"));
    drop(orphan.stdin.take());
    orphan.wait().unwrap();

    let mut next = start();
    drop(next.stdin.take());
    assert!(next.wait().unwrap().success());
    wait_until_gone(|_| false);
}
