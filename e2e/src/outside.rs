//! What pods reach on this machine: programs for drivers, signs between them and a test, and a way to a gateway.

use std::{
    collections::{HashMap, HashSet},
    io::{self, BufRead, BufReader, Read, Write},
    net::{IpAddr, Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread,
    time::Duration,
};

use anyhow::Result;

use crate::cluster::{Cluster, skip};

/// Longer than a pod takes for one small request.
const REQUEST_LIMIT: Duration = Duration::from_secs(10);

/// A small HTTP server at this machine's address on the cluster's network, for as long as the process lasts.
///
/// `GET /NAME` answers a program of that name with 200; a sign that was raised likewise; anything else with 404. Each
/// request is counted.
#[derive(Clone, Debug)]
pub struct Outside {
    address: SocketAddr,
    board: Arc<Mutex<Board>>,
}

#[derive(Debug, Default)]
struct Board {
    programs: HashMap<String, String>,
    raised: HashSet<String>,
    asked: HashMap<String, usize>,
}

impl Outside {
    /// Opens one; `None` when `test` is to be skipped, which is said: pods of a cluster that was joined don't know the
    /// way to this machine.
    ///
    /// # Errors
    /// When the address can't be listened on.
    pub fn open(cluster: &Cluster, test: &str) -> Result<Option<Self>> {
        let Some(ip) = cluster.address_of_this_machine() else {
            skip(test, "pods of a cluster that was joined can't reach this machine");
            return Ok(None);
        };
        let listener = TcpListener::bind((ip, 0))?;
        let outside = Self { address: listener.local_addr()?, board: Arc::default() };
        let server = outside.clone();
        thread::spawn(move || {
            for connection in listener.incoming().flatten() {
                // Whoever breaks off a request has its own test to fail.
                let _ = server.answer(&connection);
            }
        });
        Ok(Some(outside))
    }

    /// Where pods reach it, without a slash at the end.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Hands out a program, and answers its URI.
    pub fn program(&self, name: &str, text: &str) -> String {
        self.board().programs.insert(name.to_owned(), text.to_owned());
        format!("{}/{name}", self.url())
    }

    /// Answers 200 to whoever asks for `sign` from now on.
    pub fn raise(&self, sign: &str) {
        self.board().raised.insert(sign.to_owned());
    }

    /// How often somebody asked for `name`.
    #[must_use]
    pub fn asked(&self, name: &str) -> usize {
        self.board().asked.get(name).copied().unwrap_or(0)
    }

    /// Gives pods a way to a port of loopback; answers its address.
    ///
    /// # Errors
    /// When there is no free port.
    pub fn way_to(&self, port: u16) -> Result<SocketAddr> {
        let listener = TcpListener::bind((self.address.ip(), 0))?;
        let address = listener.local_addr()?;
        thread::spawn(move || {
            for near in listener.incoming().flatten() {
                thread::spawn(move || join(&near, port));
            }
        });
        Ok(address)
    }

    fn answer(&self, connection: &TcpStream) -> io::Result<()> {
        connection.set_read_timeout(Some(REQUEST_LIMIT))?;
        let mut request = BufReader::new(connection.take(16 * 1024)).lines();
        let line = request.next().unwrap_or_else(|| Ok(String::new()))?;
        // To the empty line: closing what wasn't read would break the answer off.
        while request.next().transpose()?.is_some_and(|header| !header.is_empty()) {}
        let name = line.split(' ').nth(1).unwrap_or_default().trim_start_matches('/');
        let found = self.ask(name);
        let (status, body) = found.as_ref().map_or(("404 Not Found", ""), |body| ("200 OK", body));
        let mut writer = connection;
        write!(writer, "HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}", body.len())
    }

    fn ask(&self, name: &str) -> Option<String> {
        let mut board = self.board();
        *board.asked.entry(name.to_owned()).or_default() += 1;
        let raised = board.raised.contains(name).then(String::new);
        board.programs.get(name).cloned().or(raised)
    }

    fn board(&self) -> MutexGuard<'_, Board> {
        self.board.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Carries bytes both ways until both sides have ended.
fn join(near: &TcpStream, port: u16) {
    let local = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port);
    let Ok(far) = TcpStream::connect(local) else { return };
    let carry = |mut from: &TcpStream, mut to: &TcpStream| {
        let _ = io::copy(&mut from, &mut to);
        let _ = to.shutdown(Shutdown::Write);
    };
    thread::scope(|scope| {
        scope.spawn(|| carry(near, &far));
        carry(&far, near);
    });
}
