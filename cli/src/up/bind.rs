//! Which port the console listens on: 8420 to 8429, or the one that was asked for.
use crate::exit::Failure;
use std::io::ErrorKind;
use std::net::{Ipv4Addr, TcpListener};

pub(crate) const PORT_FIRST: u16 = 8420;
pub(crate) const PORT_LAST: u16 = 8429;

/// A listener on this machine only, and the ports that were taken before it.
pub(crate) struct Bound {
    pub(crate) listener: TcpListener,
    pub(crate) busy: Vec<u16>,
}

/// The asked port or none; without one, the first free of the ten.
pub(crate) fn bind(asked: Option<u16>) -> Result<Bound, Failure> {
    let ports = asked.map_or(PORT_FIRST..=PORT_LAST, |port| port..=port);
    let mut busy = Vec::new();
    for port in ports {
        match TcpListener::bind((Ipv4Addr::LOCALHOST, port)) {
            Ok(listener) => return Ok(Bound { listener, busy }),
            Err(e) if e.kind() == ErrorKind::AddrInUse => busy.push(port),
            Err(e) => {
                let sentence = format!("port {port} can't be listened on");
                return Err(Failure::missing(sentence).because(e));
            }
        }
    }
    Err(Failure::missing(match asked {
        Some(port) => format!("port {port} is in use; choose another with --port"),
        None => format!(
            "all ports from {PORT_FIRST} to {PORT_LAST} are in use; choose another with --port"
        ),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_busy_port_that_was_asked_for_is_refused() {
        let held = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = held.local_addr().unwrap().port();
        let refused = bind(Some(port)).err().unwrap();
        assert!(refused.sentence.contains(&format!("port {port} is in use")), "{refused}");
    }

    #[test]
    fn any_port_may_be_asked_for() {
        let bound = bind(Some(0)).unwrap();
        assert!(bound.listener.local_addr().unwrap().ip().is_loopback());
        assert!(bound.busy.is_empty());
    }
}
