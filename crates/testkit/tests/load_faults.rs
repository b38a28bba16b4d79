//! Shows that the load generator notices a server that loses, repeats, reorders or invents events,
//! and raises no alarm at one that does not. The server here breaks its word on purpose.

#![cfg(test)]

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

use fanfare_testkit::load::{Burst, Counted, CountedEcho, Echo, LoadError, Report, Target};

/// The fault that is planted, at the first member, for the publishes numbered 3 and 4.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Planted {
    Nothing,
    Lose,
    Repeat,
    Swap,
    Invent,
    Close,
}

/// A server of the benchmark's contract with one thread per connection.
#[derive(Clone)]
struct Server {
    planted: Planted,
    members: Arc<Mutex<Vec<TcpStream>>>,
}

impl Server {
    fn start(planted: Planted) -> Target {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let server = Self { planted, members: Arc::default() };
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let server = server.clone();
                thread::spawn(move || server.serve(stream));
            }
        });
        Target { port, pid: std::process::id() }
    }

    /// Ends when the connection does.
    fn serve(&self, mut stream: TcpStream) -> Option<()> {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte).ok()?;
            head.push(byte[0]);
        }
        stream.write_all(b"HTTP/1.1 101 Switching Protocols\r\n\r\n").ok()?;
        write_text(&mut stream, "0{\"sid\":\"x\"}")?;
        assert_eq!(read_text(&mut stream)?, "40");
        if String::from_utf8_lossy(&head).contains("room=bench") {
            self.members.lock().unwrap().push(stream.try_clone().ok()?);
        }
        write_text(&mut stream, "40{\"sid\":\"y\"}")?;
        let mut published = 0;
        loop {
            let text = read_text(&mut stream)?;
            if let Some(payload) = text.strip_prefix("42[\"publish\",\"bench\",") {
                self.publish(published, &format!("42[\"event\",{payload}"));
                published += 1;
            } else if let Some((id, arguments)) = text.split_once("[\"echo\",") {
                let id = id.strip_prefix("42").unwrap();
                let lost = self.planted == Planted::Lose && id == "3";
                if !lost {
                    write_text(&mut stream, &format!("43{id}[{arguments}"))?;
                }
            }
        }
    }

    fn publish(&self, number: u32, event: &str) {
        let before = |event: &str| event.replace("100000000", "100000001");
        for (member, stream) in self.members.lock().unwrap().iter_mut().enumerate() {
            let planted = if member == 0 { self.planted } else { Planted::Nothing };
            let events = match (planted, number) {
                (Planted::Lose, 3) | (Planted::Swap, 3) => vec![],
                (Planted::Repeat, 3) => vec![event.to_owned(), event.to_owned()],
                (Planted::Swap, 4) => {
                    vec![event.to_owned(), event.replace("1000000004", "1000000003")]
                }
                (Planted::Invent, 3) => vec![event.to_owned(), before(event)],
                (Planted::Close, 3) => {
                    stream.shutdown(std::net::Shutdown::Both).ok();
                    vec![]
                }
                _ => vec![event.to_owned()],
            };
            for event in events {
                // A member that was cut off is the generator's to notice.
                write_text(stream, &event);
            }
        }
    }
}

fn write_text(stream: &mut TcpStream, text: &str) -> Option<()> {
    let length = u8::try_from(text.len()).ok().filter(|length| *length < 126).unwrap();
    let frame = [&[0x81, length][..], text.as_bytes()].concat();
    stream.write_all(&frame).ok()
}

fn read_text(stream: &mut TcpStream) -> Option<String> {
    let mut header = [0; 2];
    stream.read_exact(&mut header).ok()?;
    let length = match header[1] & 0x7f {
        126 => {
            let mut long = [0; 2];
            stream.read_exact(&mut long).ok()?;
            u16::from_be_bytes(long).into()
        }
        short => usize::from(short),
    };
    let mut mask = [0; 4];
    stream.read_exact(&mut mask).ok()?;
    let mut text = vec![0; length];
    stream.read_exact(&mut text).ok()?;
    text.iter_mut().zip(mask.iter().cycle()).for_each(|(byte, mask)| *byte ^= mask);
    String::from_utf8(text).ok()
}

fn burst(planted: Planted, window: usize) -> Report {
    let target = Server::start(planted);
    let burst = Burst { members: 3, window, payload_bytes: 40, warm_up_ms: 50, measure_ms: 50 };
    burst.run(&target).unwrap()
}

#[test]
fn every_planted_fault_is_noticed() {
    for (planted, sentence) in [
        (Planted::Lose, "1 sequence numbers were skipped"),
        (Planted::Repeat, "1 sequence numbers came twice or late"),
        (Planted::Swap, "1 sequence numbers came twice or late"),
        (Planted::Invent, "1 sequence numbers came that were never sent"),
        (Planted::Close, "1 connections were closed by the server"),
    ] {
        let report = burst(planted, 8);
        assert!(report.faults.iter().any(|fault| fault == sentence), "{planted:?}: {report:?}");
    }
}

#[test]
fn an_honest_server_raises_no_alarm() {
    for window in [1, 32] {
        let report = burst(Planted::Nothing, window);
        assert_eq!(report.faults, Vec::<String>::new(), "window {window}");
        assert!(report.metrics["per_second"] > 0.0);
    }
}

#[test]
fn counted_scenarios_do_as_much_as_asked() {
    let target = Server::start(Planted::Nothing);
    let counted = Counted { members: 3, window: 4, payload_bytes: 40, publishes: 10 };
    let report = counted.run(&target).unwrap();
    assert_eq!((report.metrics["deliveries"], report.faults.len()), (30.0, 0));
    let report = CountedEcho { clients: 2, round_trips: 5 }.run(&target).unwrap();
    assert_eq!((report.metrics["acks"], report.faults.len()), (10.0, 0));
}

#[test]
fn a_lost_acknowledgement_is_noticed() {
    let run = |planted| {
        let target = Server::start(planted);
        Echo { clients: 2, warm_up_ms: 20, measure_ms: 50 }.run(&target).unwrap().faults
    };
    assert_eq!(run(Planted::Nothing), Vec::<String>::new());
    assert_eq!(run(Planted::Lose), ["2 deliveries never arrived"]);
}

#[test]
fn a_server_that_is_not_there_is_an_error() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    let target = Target { port, pid: std::process::id() };
    let echo = Echo { clients: 1, warm_up_ms: 1, measure_ms: 1 };
    assert!(matches!(echo.run(&target), Err(LoadError::Connect(_))));
}
