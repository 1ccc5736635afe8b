//! Lost connections: nothing is lost, repeated or submitted twice.
//!
//! A relay between command and gateway cuts connections as often as it is told.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use rustix::process::Signal;

use super::gateway::{Gateway, Running, command_at, until};

/// Passes bytes on to a gateway, and cuts each connection after some of the answer.
struct Relay {
    url: String,
    cuts: Arc<AtomicUsize>,
}

impl Relay {
    /// Cuts the first connections, one for each of `allowed`, after so many bytes from the gateway; later ones live.
    fn new(gateway: &Gateway, allowed: Vec<usize>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let cuts = Arc::new(AtomicUsize::new(0));
        let (port, count) = (gateway.port(), Arc::clone(&cuts));
        std::thread::spawn(move || {
            let mut allowed = allowed.into_iter();
            for client in listener.incoming() {
                let (client, limit) = (client.unwrap(), allowed.next());
                let Ok(gateway) = TcpStream::connect(("127.0.0.1", port)) else { continue };
                let count = Arc::clone(&count);
                std::thread::spawn(move || pass(client, gateway, limit, &count));
            }
        });
        Self { url, cuts }
    }

    fn cuts(&self) -> usize {
        self.cuts.load(Ordering::SeqCst)
    }
}

fn pass(mut client: TcpStream, mut gateway: TcpStream, limit: Option<usize>, cuts: &AtomicUsize) {
    let (mut request, mut ahead) = (client.try_clone().unwrap(), gateway.try_clone().unwrap());
    std::thread::spawn(move || {
        let _ = std::io::copy(&mut request, &mut ahead);
        let _ = ahead.shutdown(Shutdown::Write);
    });
    let mut left = limit.unwrap_or(usize::MAX);
    let mut buffer = [0; 4_096];
    while let Ok(read @ 1..) = gateway.read(&mut buffer) {
        let passed = read.min(left);
        left -= passed;
        if client.write_all(&buffer[..passed]).is_err() {
            break;
        }
        if left == 0 {
            cuts.fetch_add(1, Ordering::SeqCst);
            break;
        }
    }
    let _ = client.shutdown(Shutdown::Both);
    let _ = gateway.shutdown(Shutdown::Both);
}

fn lines(count: usize) -> String {
    (1..=count).map(|n| format!("line {n}\n")).collect()
}

/// Prints `count` lines, in bursts.
fn counting(count: usize) -> String {
    format!("n=0; while [ $n -lt {count} ]; do n=$((n+1)); echo line $n; [ $((n % 20)) -ne 0 ] || sleep 0.02; done")
}

#[test]
fn a_stream_that_is_cut_goes_on_where_it_was() {
    let gateway = Gateway::with_fake_spark();
    gateway.file("app.py", &counting(600));
    // The first takes the submission and begins the stream; later ones are cut in their head, and anywhere in events.
    let mut allowed = vec![3_000];
    allowed.extend((0..12).map(|n| 150 + n * 977));
    let relay = Relay::new(&gateway, allowed);
    let done = Running::new(command_at(&relay.url, &gateway.desk(), &["submit", "-q", "app.py"])).finish();
    assert_eq!(done.code, 0, "{done:?}");
    assert!(relay.cuts() >= 8, "only {} connections were cut", relay.cuts());
    assert_eq!(done.stdout, lines(600));
}

#[test]
fn a_submission_whose_answer_is_lost_happens_once() {
    let gateway = Gateway::with_fake_spark();
    gateway.file("app.py", "echo once");
    let relay = Relay::new(&gateway, vec![1, 40, 120]);
    let done = Running::new(command_at(&relay.url, &gateway.desk(), &["submit", "app.py"])).finish();
    assert_eq!((done.code, done.stdout.as_str()), (0, "once\n"), "{done:?}");
    assert_eq!(relay.cuts(), 3);
    assert_eq!(gateway.run("ps -qa").stdout, "batch-0\n");
}

#[test]
fn a_gateway_that_comes_back_is_followed_on() {
    let mut gateway = Gateway::with_fake_spark();
    for (number, signal) in [Signal::TERM, Signal::KILL].into_iter().enumerate() {
        let go = gateway.desk().join(format!("go-{number}"));
        let script = format!("echo line 1; until [ -e {} ]; do sleep 0.02; done; echo line 2; exit 7", go.display());
        gateway.file("app.py", &script);
        let running = gateway.spawn("submit -q app.py");
        until("it began", || running.stdout() == "line 1\n");
        gateway.restart(signal);
        std::fs::write(&go, "").unwrap();
        let done = running.finish();
        assert_eq!((done.code, done.stdout.as_str()), (7, "line 1\nline 2\n"), "{done:?}");
    }
}
