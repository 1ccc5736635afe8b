//! Sends requests exactly as recorded, which no HTTP client would, and reads the answers.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use super::recording::{Answer, Exchange};

/// Longer than any answer takes, however busy the machine is.
const PATIENCE: Duration = Duration::from_secs(120);

/// Sends a request, whose placeholders are replaced already, on a connection of its own.
pub(crate) fn send(address: SocketAddr, exchange: &Exchange) -> Answer {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(&request_bytes(exchange)).unwrap();
    let mut reader = BufReader::new(stream);
    loop {
        let answer = read_answer(&mut reader, &exchange.method);
        // What comes before the real answer, such as `100 Continue`.
        if answer.status >= 200 {
            return answer;
        }
    }
}

fn request_bytes(exchange: &Exchange) -> Vec<u8> {
    let mut head = format!("{} {} {}\r\n", exchange.method, exchange.target, exchange.version);
    for (name, value) in &exchange.headers {
        head.push_str(&format!("{name}: {}\r\n", repeated(value)));
    }
    head.push_str("\r\n");
    [head.as_bytes(), &exchange.body].concat()
}

/// `@repeat:a:3` is `aaa`.
fn repeated(value: &str) -> String {
    match value.strip_prefix("@repeat:").and_then(|rest| rest.split_once(':')) {
        Some((text, count)) => text.repeat(count.parse().unwrap()),
        None => value.to_owned(),
    }
}

fn read_answer(reader: &mut BufReader<TcpStream>, method: &str) -> Answer {
    let status_line = read_line(reader);
    let (_, rest) = status_line.split_once(' ').unwrap_or_else(|| panic!("no answer but {status_line:?}"));
    let (status, reason) = rest.split_once(' ').unwrap_or((rest, ""));
    let mut answer =
        Answer { status: status.parse().unwrap(), reason: reason.to_owned(), headers: Vec::new(), body: Vec::new() };
    loop {
        let line = read_line(reader);
        if line.is_empty() {
            break;
        }
        let (name, value) = line.split_once(':').unwrap();
        answer.headers.push((name.to_owned(), value.trim().to_owned()));
    }
    if method != "HEAD" && answer.status >= 200 {
        answer.body = read_body(reader, &answer);
    }
    answer
}

fn read_body(reader: &mut BufReader<TcpStream>, answer: &Answer) -> Vec<u8> {
    let mut body = Vec::new();
    if answer.header("transfer-encoding").is_some() {
        loop {
            let length = usize::from_str_radix(read_line(reader).trim(), 16).unwrap();
            let mut chunk = vec![0; length + 2];
            reader.read_exact(&mut chunk).unwrap();
            if length == 0 {
                return body;
            }
            body.extend_from_slice(&chunk[..length]);
        }
    }
    match answer.header("content-length") {
        Some(length) => {
            body.resize(length.parse().unwrap(), 0);
            reader.read_exact(&mut body).unwrap();
        }
        None => {
            reader.read_to_end(&mut body).unwrap();
        }
    }
    body
}

fn read_line(reader: &mut BufReader<TcpStream>) -> String {
    let mut line = Vec::new();
    reader.read_until(b'\n', &mut line).unwrap();
    let line = String::from_utf8_lossy(&line);
    line.trim_end_matches(['\r', '\n']).to_owned()
}
