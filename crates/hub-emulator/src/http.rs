//! One request and its answer, and what goes wrong with it.

use std::io::{BufRead, BufReader, Read, Result, Write};
use std::net::TcpStream;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::Duration;

use crate::answer::{Answer, answer};
use crate::{Fault, Request, Shared};

/// Reads a request, answers it and closes the connection.
pub(crate) fn converse(shared: &Shared, connection: TcpStream, to_contents: bool) {
    // A client that goes away is no concern of the hub's.
    let _ = respond(shared, connection, to_contents);
}

fn respond(shared: &Shared, mut connection: TcpStream, to_contents: bool) -> Result<()> {
    let mut lines = BufReader::new(&connection);
    let Some((mut request, length)) = read(&mut lines, to_contents)? else {
        return Ok(());
    };
    let fault = take_fault(shared, &request);
    let heard = match fault {
        Some(Fault::Deaf(bytes)) => bytes.min(length),
        _ => length,
    };
    request.body = vec![0; heard];
    lines.read_exact(&mut request.body)?;
    shared.state().requests.push(request.clone());
    let mut answer = match fault {
        Some(Fault::Hangup | Fault::Deaf(_)) => return Ok(()),
        Some(Fault::Mute) => {
            wait_for_the_end(shared);
            return Ok(());
        }
        Some(Fault::Endless) => {
            connection.write_all(b"HTTP/1.1 200 200\r\nConnection: close\r\n\r\n")?;
            loop {
                connection.write_all(&[b' '; 1 << 16])?;
            }
        }
        Some(Fault::Loop) => {
            let server = if to_contents {
                &shared.contents
            } else {
                &shared.endpoint
            };
            Answer::new(302).with("Location", &format!("{server}{}", request.path))
        }
        Some(Fault::Status(status, name, value)) => Answer::new(status).with(name, value),
        Some(Fault::Body(ref text)) => Answer::new(200).body(text.clone().into_bytes()),
        _ => answer(shared, &request),
    };
    match fault {
        Some(Fault::Short(bytes)) => answer.body.truncate(answer.body.len() - bytes),
        Some(Fault::Long(bytes)) => answer.body.extend(vec![b'x'; bytes]),
        Some(Fault::Damaged) => answer.body.iter_mut().take(1).for_each(|byte| *byte ^= 1),
        _ => {}
    }
    if !matches!(fault, Some(Fault::WholeOnly | Fault::Long(_))) {
        answer = answer.ranged(request.range.as_deref());
    }
    let mut head = format!("HTTP/1.1 {} {}\r\n", answer.status, answer.status);
    for (name, value) in &answer.headers {
        head += &format!("{name}: {value}\r\n");
    }
    head += &format!(
        "Content-Length: {}\r\nConnection: close\r\n\r\n",
        answer.body.len()
    );
    connection.write_all(head.as_bytes())?;
    if request.method == "HEAD" {
        return Ok(());
    }
    let Some(Fault::Cut(bytes) | Fault::Silence(bytes)) = fault else {
        return connection.write_all(&answer.body);
    };
    connection.write_all(&answer.body[..bytes.min(answer.body.len())])?;
    if let Some(Fault::Silence(_)) = fault {
        wait_for_the_end(shared);
    }
    Ok(())
}

/// Keeps the connection until the hub stops.
fn wait_for_the_end(shared: &Shared) {
    while !shared.stopped.load(Ordering::Relaxed) {
        thread::sleep(Duration::from_millis(10));
    }
}

/// The request without its body, and the body's length.
fn read(from: &mut impl BufRead, to_contents: bool) -> Result<Option<(Request, usize)>> {
    let mut lines = from.lines();
    let Some(first) = lines.next().transpose()? else {
        return Ok(None);
    };
    let mut words = first.split(' ');
    let (Some(method), Some(path)) = (words.next(), words.next()) else {
        return Ok(None);
    };
    let mut request = Request {
        to_contents,
        method: method.into(),
        path: resolve(path),
        range: None,
        authorization: None,
        body: Vec::new(),
    };
    let mut length = 0;
    for line in lines {
        let line = line?;
        match line.split_once(": ") {
            None => break,
            Some((name, value)) if name.eq_ignore_ascii_case("range") => {
                request.range = Some(value.into())
            }
            Some((name, value)) if name.eq_ignore_ascii_case("content-length") => {
                length = value.parse().unwrap_or(0);
            }
            Some((name, value)) if name.eq_ignore_ascii_case("authorization") => {
                request.authorization = Some(value.into());
            }
            Some(_) => {}
        }
    }
    Ok(Some((request, length)))
}

fn take_fault(shared: &Shared, request: &Request) -> Option<Fault> {
    let mut state = shared.state();
    let fated = state.faults.iter_mut().find(|fated| {
        fated.times > 0
            && request.method == fated.method
            && request.path.contains(fated.path.as_str())
    })?;
    fated.times -= 1;
    Some(fated.fault.clone())
}

/// `path` with `%2F` and the like resolved.
fn resolve(path: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = path.as_bytes();
    while let [first, tail @ ..] = rest {
        let byte = match tail {
            [high, low, ..] if *first == b'%' => std::str::from_utf8(&[*high, *low])
                .ok()
                .and_then(|hex| u8::from_str_radix(hex, 16).ok()),
            _ => None,
        };
        bytes.push(byte.unwrap_or(*first));
        rest = if byte.is_some() { &tail[2..] } else { tail };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}
