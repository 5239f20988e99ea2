// SPDX-License-Identifier: Apache-2.0
//! The time that sealing takes, measured alone: no pipeline goes without it.

use starling_infer::Failure;
use starling_shards::{
    message::{Signatures, Span, Work},
    seal::{Binding, Chains, Secret},
    transport::Peer,
    wire::WireFormat,
};
use std::time::{Duration, Instant};

/// Messages of a measurement.
const MESSAGES: u32 = 200;

/// Mean seconds to seal and open a message with `bytes` of rows and its answer: all that one hop
/// through the client adds.
pub(super) fn seconds(bytes: usize) -> Result<f64, Failure> {
    let (mut client, mut server) = pair()?;
    let rows = vec![0x5a; bytes];
    let mut took = Duration::ZERO;
    for sequence in 0..u64::from(MESSAGES) {
        let (mut work, answer) = (work(sequence, rows.clone()), rows.clone());
        let signatures = unsigned();
        let started = Instant::now();
        client.up.seal_work(&mut work, None);
        server.up.open_work(&mut work)?;
        let down = &mut server.down;
        let output = down.seal_output(0, sequence, 0, answer, None, signatures);
        let opened = client.down.open_output(0, sequence, output);
        took += started.elapsed();
        if work.data != rows || opened.as_ref() != Some(&rows) {
            return Err("rows have changed while they were sealed".into());
        }
    }
    Ok(took.as_secs_f64() / f64::from(MESSAGES))
}

/// The chains of a client and of its server.
fn pair() -> Result<(Chains, Chains), Failure> {
    let fresh = || Secret::generate().map_err(|error| error.to_string());
    let [client, announced, server] = [fresh()?, fresh()?, fresh()?];
    let binding = Binding {
        network: [0; 32],
        client: Peer::new(*b"client"),
        client_account: [1; 32],
        server: Peer::new(*b"server"),
        server_account: [2; 32],
        model: [3; 32],
        layers: Span { start: 0, end: 1 },
        wire: WireFormat::F32,
        session: 0,
        nonce: [0; 16],
    };
    let of_client = Chains::of_client(&client, &announced.public(), &server.public(), &binding)?;
    let of_server = Chains::of_server(&announced, &server, &client.public(), &binding)?;
    Ok((of_client, of_server))
}

/// No signatures: they are not sealed.
fn unsigned() -> Signatures {
    Signatures {
        key: [0; 32],
        time: 0,
        parts: vec![],
    }
}

fn work(sequence: u64, data: Vec<u8>) -> Work {
    Work {
        session: 0,
        sequence,
        edits: vec![],
        parts: vec![],
        data,
        pushed: false,
        next: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_measured_seals_and_opens() {
        for bytes in [0, 1, 2_304] {
            assert!(seconds(bytes).unwrap() > 0.0);
        }
    }
}
