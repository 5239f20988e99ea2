// SPDX-License-Identifier: Apache-2.0

//! Knowledge bases by their words; vectors need a model, and have tests of their own.

use std::{
    fs,
    os::unix::{fs::symlink, net::UnixListener},
};

use proptest::prelude::*;
use tempfile::TempDir;

use super::*;

fn settings(folder: &Path) -> Settings {
    Settings {
        folder: folder.to_owned(),
        embeddings: None,
        index: folder.join(".vectors"),
        most_text: 1 << 20,
        words: true,
    }
}

fn folder(files: &[(&str, &str)]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in files {
        write(&folder, name, text);
    }
    folder
}

fn write(folder: &TempDir, name: &str, text: impl AsRef<[u8]>) {
    let path = folder.path().join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

/// The texts of the passages that are found.
fn found(base: &Base, question: &str) -> Vec<String> {
    let passages = base.lookup(question, 3).unwrap();
    passages.into_iter().map(|passage| passage.text).collect()
}

/// The words about files that are left out.
fn complaint(base: &Base) -> String {
    assert!(base.refresh(|| true).unwrap());
    base.left_out().unwrap()
}

const TOWNS: [(&str, &str); 3] = [
    ("orla.txt", "The bridge of Orla is red."),
    (
        "more/tamm.md",
        "# Tamm\n\nThe bridge of Tamm was built in 1873.",
    ),
    ("none.csv", "bridge,Tamm,1999"),
];

#[test]
fn the_passage_that_shares_most_with_a_question_comes_first() {
    let folder = folder(&TOWNS);
    let base = Base::new(settings(folder.path()));
    let passages = base
        .lookup("When was the bridge of Tamm built?", 1)
        .unwrap();
    assert_eq!(passages.len(), 1);
    assert_eq!(passages[0].file, Path::new("more/tamm.md"));
    assert_eq!(
        passages[0].text,
        "# Tamm\nThe bridge of Tamm was built in 1873."
    );
    assert_eq!(found(&base, "What colour is the sky?"), [""; 0]);
    assert!(base.refresh(|| true).unwrap());
}

#[test]
fn a_changed_a_new_and_a_removed_file_are_noticed() {
    let folder = folder(&TOWNS);
    let base = Base::new(settings(folder.path()));
    assert_eq!(found(&base, "Is Orla red?"), ["The bridge of Orla is red."]);
    write(&folder, "orla.txt", "The bridge of Orla is green now.");
    assert_eq!(
        found(&base, "Is Orla red?"),
        ["The bridge of Orla is green now."]
    );
    write(&folder, "velm.txt", "Velm has no bridge.");
    assert_eq!(found(&base, "What has Velm?"), ["Velm has no bridge."]);
    fs::remove_file(folder.path().join("velm.txt")).unwrap();
    assert_eq!(found(&base, "What has Velm?"), [""; 0]);
}

#[test]
fn an_empty_folder_knows_nothing_and_a_missing_one_is_an_error() {
    let folder = folder(&[("blank.txt", " \n\n ")]);
    let base = Base::new(settings(folder.path()));
    assert_eq!(found(&base, "What is this bridge?"), [""; 0]);
    assert!(base.refresh(|| true).unwrap());
    let missing = Base::new(settings(Path::new("/nowhere/facts")));
    let error = missing.lookup("x", 1).unwrap_err().to_string();
    assert!(error.contains("/nowhere/facts"), "{error}");
    let file = folder.path().join("blank.txt");
    assert!(Base::new(settings(&file)).lookup("x", 1).is_err());
}

#[test]
fn links_are_not_followed() {
    let outside = folder(&[("secret.txt", "The secret is swordfish.")]);
    let folder = folder(&TOWNS);
    symlink(
        outside.path().join("secret.txt"),
        folder.path().join("s.txt"),
    )
    .unwrap();
    symlink(outside.path(), folder.path().join("all")).unwrap();
    symlink(folder.path(), folder.path().join("more/loop")).unwrap();
    let base = Base::new(settings(folder.path()));
    assert_eq!(found(&base, "What is the secret swordfish?"), [""; 0]);
    let complaint = complaint(&base);
    assert!(
        complaint.contains("s.txt") && complaint.contains("link"),
        "{complaint}"
    );
    assert_eq!(found(&base, "Is Orla red?").len(), 1);
}

#[test]
fn what_is_no_text_is_left_out_and_named() {
    for (name, content, words) in [
        ("binary.txt", &b"\x7fELF\xff\xfe"[..], "UTF-8"),
        ("nul.md", &b"bridge\0"[..], "UTF-8"),
    ] {
        let folder = folder(&TOWNS);
        write(&folder, name, content);
        let base = Base::new(settings(folder.path()));
        assert_eq!(found(&base, "Is Orla red?").len(), 1);
        let complaint = complaint(&base);
        assert!(
            complaint.contains(name) && complaint.contains(words),
            "{complaint}"
        );
    }
    // Opening a socket fails, and opening a pipe would wait for ever: neither is tried.
    let folder = folder(&TOWNS);
    let _socket = UnixListener::bind(folder.path().join("socket.txt")).unwrap();
    let base = Base::new(settings(folder.path()));
    assert_eq!(found(&base, "Is Orla red?").len(), 1);
    assert!(complaint(&base).contains("regular"));
}

#[test]
fn a_file_that_cannot_be_read_or_does_not_fit_leaves_the_others() {
    let folder = folder(&TOWNS);
    write(&folder, "z.txt", "Velm. ".repeat(100));
    let most_text = 200;
    let base = Base::new(Settings {
        most_text,
        ..settings(folder.path())
    });
    assert_eq!(found(&base, "Is Orla red?").len(), 1);
    assert_eq!(found(&base, "What is Velm?"), [""; 0]);
    assert!(complaint(&base).contains("z.txt"), "{}", complaint(&base));
    // Gone between the list and the reading: as unreadable as one without permission, which root
    // can read.
    let gone = files::read(&folder.path().join("gone.txt"), 10);
    assert!(gone.unwrap_err().contains("No such file"));
}

#[test]
fn an_embedding_model_that_is_not_there_is_named_and_words_go_on() {
    let folder = folder(&TOWNS);
    let embeddings = Some(PathBuf::from("/nowhere/minilm"));
    let base = Base::new(Settings {
        embeddings,
        ..settings(folder.path())
    });
    let error = base.refresh(|| true).unwrap_err().to_string();
    assert!(error.contains("/nowhere/minilm"), "{error}");
    assert_eq!(found(&base, "Is Orla red?").len(), 1);
}

#[test]
fn a_passage_that_both_ranks_have_wins() {
    assert_eq!(fused(&[vec![1, 2, 3], vec![2, 4]]), [2, 1, 4, 3]);
    assert_eq!(fused(&[vec![5, 1], vec![]]), [5, 1]);
    assert_eq!(fused(&[]), [0usize; 0]);
}

fn passage(text: &str) -> Passage {
    Passage {
        file: "f.txt".into(),
        text: text.into(),
    }
}

#[test]
fn facts_stand_before_the_question_as_whole_passages() {
    let passages = [passage("One\nis one."), passage("Two is two.")];
    assert_eq!(
        with_passages(&passages, "Why?", 100),
        "Facts:\n- One is one.\n- Two is two.\n\nAnswer with the help of the facts: Why?"
    );
    let short = with_passages(&passages, "Why?", 20);
    assert!(short.contains("One") && !short.contains("Two"), "{short}");
    assert_eq!(with_passages(&passages, "Why?", 5), "Why?");
    assert_eq!(with_passages(&[], "Why?", 100), "Why?");
}

proptest! {
    #[test]
    fn a_prompt_grows_by_no_more_than_it_may(
        texts in proptest::collection::vec(".{0,60}", 0..6),
        question in ".{0,40}",
        most in 0usize..200,
    ) {
        let passages: Vec<Passage> = texts.iter().map(|text| passage(text)).collect();
        let prompt = with_passages(&passages, &question, most);
        prop_assert!(prompt.ends_with(&question));
        prop_assert!(prompt.len() <= question.len() + most + 64);
    }
}
