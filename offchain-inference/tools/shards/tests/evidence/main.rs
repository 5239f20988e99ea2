// SPDX-License-Identifier: Apache-2.0
//! Tests of `starling-shards evidence` on cases that a node has kept.

#[path = "../../../../engine/src/fixtures.rs"]
#[allow(dead_code)]
mod fixtures;
#[path = "../../../../shards/tests/pipeline/swarm.rs"]
#[allow(dead_code)]
mod swarm;

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
    sync::Arc,
};

use candle_core::quantized::GgmlDType;
use parking_lot::Mutex;
use sha2::{Digest as _, Sha256};
use starling_engine::config::Architecture;
use starling_shards::{
    integrity::{Archive, Room},
    simulated_network::Agent,
    PipelineConfig,
};

use crate::{
    fixtures::{Fixture, LAYERS},
    swarm::{config, eventually, greedy, Swarm},
};

/// For `fixtures`, which is the engine's.
mod config {
    pub use starling_engine::config::Architecture;
}

/// The agent of the node that joins after three others.
const LIAR: u8 = 4;

/// A case found by a spot check, and the models of the honest nodes and of the liar.
struct Found {
    folder: tempfile::TempDir,
    case: PathBuf,
    model: Fixture,
    coarse: Fixture,
}

/// Three nodes serve a model and a fourth one a coarser copy of it, until a fifth proves that.
fn found() -> Found {
    let model = fixtures::model(Architecture::Llama, GgmlDType::Q8_0);
    let coarse = fixtures::model(Architecture::Llama, GgmlDType::Q4_0);
    let mut swarm = Swarm::new(&model.path);
    swarm.model = Sha256::digest(fs::read(&model.path).unwrap()).into();
    let _servers = [(); 3].map(|()| swarm.server(0..LAYERS));
    let liar = swarm.node();
    swarm.serve_file(&liar, &coarse.path, 0..LAYERS);
    let user = swarm.node();
    let folder = tempfile::tempdir().unwrap();
    let archive = Archive::new(folder.path(), Room::default());
    let stored = Arc::new(Mutex::new(None));
    let slot = stored.clone();
    user.service.record_evidence(move |case| {
        // One case is enough.
        let mut slot = slot.lock();
        if slot.is_none() {
            *slot = archive.store(case).unwrap();
        }
        true
    });
    let config = PipelineConfig {
        spot_check: 1.0,
        replan: false,
        ..config()
    };
    let pipeline = swarm.pipeline(&user, config);
    eventually("the liar's discovery", || {
        greedy(&pipeline, &[9, 8, 7, 6, 5], 4, |_| {}).unwrap();
        stored.lock().is_some()
    });
    let case = stored.lock().clone().unwrap();
    Found {
        folder,
        case,
        model,
        coarse,
    }
}

fn list(folder: &Path, model: Option<&Fixture>) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_starling-shards"));
    command
        .arg("evidence")
        .arg(folder)
        .args(["--format", "csv"]);
    if let Some(model) = model {
        command.arg("--model").arg(&model.path);
    }
    command.output().unwrap()
}

/// The lines about agents: the liar's, then the other one's.
fn lines(output: &Output) -> [String; 2] {
    let text = String::from_utf8(output.stdout.clone()).unwrap();
    let account = Agent::new(LIAR).record().account;
    let account: String = account.iter().map(|byte| format!("{byte:02x}")).collect();
    let rows = text.lines().filter(|line| line.contains("0x"));
    let (liar, others): (Vec<_>, Vec<_>) = rows.partition(|line| line.contains(&account));
    match (&liar[..], &others[..]) {
        ([liar], [other]) => [(*liar).to_owned(), (*other).to_owned()],
        _ => panic!("{text}"),
    }
}

#[test]
fn the_liar_is_told_by_its_model_and_a_damaged_file_by_its_name() {
    let found = found();
    let folder = found.folder.path();

    let listed = list(folder, None);
    assert!(listed.status.success(), "{listed:?}");
    for line in lines(&listed) {
        assert!(line.contains("0..4") && line.contains("genuine"), "{line}");
        assert!(line.ends_with('–'), "nothing is computed: {line}");
    }

    let judged = list(folder, Some(&found.model));
    assert!(judged.status.success(), "{judged:?}");
    let [liar, other] = lines(&judged);
    assert!(liar.ends_with(": wrong"), "{liar}");
    assert!(other.contains("within the tolerance"), "{other}");

    let of_another = list(folder, Some(&found.coarse));
    assert!(of_another.status.success(), "{of_another:?}");
    assert!(lines(&of_another).iter().all(|line| line.ends_with('–')));

    // Files before the valid one in the list: cut off, of another kind, and with other inputs than
    // the signed ones.
    let bytes = fs::read(&found.case).unwrap();
    let write = |name: &str, bytes: &[u8]| fs::write(folder.join(name), bytes).unwrap();
    write("00.evidence", &bytes[..bytes.len() / 2]);
    write("01.evidence", b"something else");
    let mut changed = bytes.clone();
    let at = bytes.len() - 2 * (bytes.len() / 8);
    changed[at] ^= 1;
    write("02.evidence", &changed);
    let partly = list(folder, Some(&found.model));
    assert_eq!(partly.status.code(), Some(1));
    assert_eq!(lines(&partly), [liar, other], "the sound one is shown");
    let told = String::from_utf8(partly.stderr).unwrap();
    for words in [
        "00.evidence: the evidence is cut off or damaged",
        "01.evidence: not an evidence file of this version",
        "02.evidence: the exhibit",
        "3 of 4 files",
    ] {
        assert!(told.contains(words), "{words}: {told}");
    }
}
