// SPDX-License-Identifier: Apache-2.0

use super::*;
use starling_primitives::choice::Form;
use starling_shards::{PipelineConfig, ServiceConfig};
use std::time::Duration;

/// A file that names an account, as all have to.
fn parse(text: &str) -> Result<Config, String> {
    let accounts = match text.contains("accounts") {
        true => "",
        false => "accounts = [\"Alice\"]\n",
    };
    load(&format!("{accounts}{text}"))
}

fn load(text: &str) -> Result<Config, String> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("agent.toml");
    fs::write(&path, text).unwrap();
    Config::load(&path).map_err(|error| error.to_string())
}

const MODEL: &str = "[[primary]]\nmodel = \"m\"\n";

#[test]
fn a_model_name_is_enough() {
    let config = parse(MODEL).unwrap();
    assert_eq!(config.workers.get(), 1);
    assert_eq!(config.niceness.get(), 10);
    assert_eq!(config.primary[0].name(), "m");
    assert_eq!(config.ranked_by().unwrap().unwrap().0.name(), "m");
}

#[test]
fn an_agent_without_an_account_is_refused() {
    for text in [MODEL, &format!("accounts = []\n{MODEL}")] {
        let error = load(text).unwrap_err();
        assert!(error.contains("accounts = [\"5F…\"]"), "{error}");
        assert!(error.contains("agent.toml"), "{error}");
    }
    let error = load(&format!("accounts = [\"Mallory\"]\n{MODEL}")).unwrap_err();
    assert!(error.contains("\"Mallory\" is not the address"), "{error}");
    let config = load(&format!("accounts = [\"Alice\", \"alice\"]\n{MODEL}")).unwrap();
    assert_eq!(config.accounts.len(), 1);
}

#[test]
fn the_agents_of_the_local_swarm_are_valid_and_differ() {
    let agents = [
        include_str!("../../../../examples/agents/alice.toml"),
        include_str!("../../../../examples/agents/bob.toml"),
        include_str!("../../../../examples/agents/charlie.toml"),
        include_str!("../../../../examples/agents/dave.toml"),
    ]
    .map(|toml| parse(toml).unwrap());
    for (index, agent) in agents.iter().enumerate() {
        assert!(agents.iter().skip(index + 1).all(|other| other != agent));
    }
}

#[test]
fn the_documented_example_is_valid() {
    let config = parse(include_str!("../../agent.example.toml")).unwrap();
    assert_eq!(config.accept.min_fee, Some(Amount(1_000_000_000_000)));
    let sources: Vec<_> = config.primary.iter().map(|module| &module.source).collect();
    assert!(matches!(
        sources[..],
        [
            Source::Patterns(_),
            Source::Store(_),
            Source::Shards(_),
            Source::Endpoint(_)
        ]
    ));
}

#[test]
fn the_defaults_in_the_example_are_the_defaults() {
    let config = parse(include_str!("../../agent.example.toml")).unwrap();
    let smallest = parse(MODEL).unwrap();
    assert_eq!(config.shards.pipeline(None), smallest.shards.pipeline(None));
    assert_eq!(config.shards.service(), smallest.shards.service());
    assert_eq!(
        (
            config.workers,
            config.queue,
            config.threads,
            config.niceness,
            config.lanes,
            config.traces,
            config.disputes
        ),
        (
            smallest.workers,
            smallest.queue,
            smallest.threads,
            smallest.niceness,
            smallest.lanes,
            smallest.traces,
            smallest.disputes
        )
    );
    let sampling = |config: &Config, module: usize| {
        let generation = config.primary[module].generation().unwrap();
        generation.sampling.with_seed(|_| 0)
    };
    assert_eq!(sampling(&config, 1), sampling(&smallest, 0));
}

#[test]
fn a_node_may_serve_layers_and_answer_with_those_of_others() {
    let hash = "0".repeat(64);
    let config = parse(&format!(
        "[shards]\nwire = \"f16\"\nmin_bond = \"5\"\npush_from = \"7ms\"\npatience = \"1m\"\n\
         up_kbps = 5000\n\
         [[serve]]\nmodel = \"m\"\nmax_layers = 4\n\
         [[serve]]\npath = \"n.gguf\"\nsha256 = \"{hash}\"\nof = \"{hash}\"\nlayers = \"3..7\"\n\
         cache = \"7 MiB\"\n\
         [[primary]]\nmodel = \"m\"\nshards = true\ndraft = \"small\"\nown_layers = 2\n\
         [[primary]]\npath = \"o.gguf\"\nsha256 = \"{hash}\"\nof = \"{hash}\"\nshards = true\n\
         wire = \"linear8\"\nmax_tokens = 9\ndraft = \"small.gguf\""
    ))
    .unwrap();
    let [m, n] = &config.serve[..] else {
        panic!("two models are served")
    };
    let max = NonZeroUsize::new(4);
    assert_eq!((m.name(), &m.layers), ("m".into(), &Layers::Auto { max }));
    assert_eq!((n.name(), &n.layers), ("n".into(), &Layers::Span(3..7)));
    assert_eq!(n.cache, Some(Size(7 << 20)));
    assert!(matches!(&n.weights, Weights::File { path, of: Some(_), .. } if path.is_absolute()));
    let sources: Vec<_> = config.primary.iter().map(|module| &module.source).collect();
    let [Source::Shards(first), Source::Shards(second)] = sources[..] else {
        panic!("other nodes compute both models")
    };
    let wire = |wire| config.shards.pipeline(wire).wire;
    assert_eq!(wire(first.wire), WireFormat::F16);
    assert_eq!(wire(second.wire), WireFormat::Linear8);
    assert_eq!(second.generation.max_tokens, Some(9));
    assert_eq!((first.own_layers, second.own_layers), (2, 0));
    assert_eq!(first.draft, Some(Draft::Store("small".into())));
    assert!(matches!(&second.draft, Some(Draft::File(path)) if path.is_absolute()));
    let service = config.shards.service();
    assert_eq!(
        (service.min_bond, service.up_kbps, service.down_kbps),
        (5, 5000, 0)
    );
    let pipeline = config.shards.pipeline(None);
    assert_eq!(pipeline.push_from, Duration::from_millis(7));
    assert_eq!(pipeline.patience, Duration::from_secs(60));
}

#[test]
fn without_a_table_of_shards_their_defaults_hold() {
    assert!(parse("[[serve]]\nmodel = \"m\"").is_ok());
    assert_eq!(Shards::default().service(), ServiceConfig::default());
    assert_eq!(Shards::default().pipeline(None), PipelineConfig::default());
}

#[test]
fn mistakes_are_named() {
    for (text, words) in [
        ("", "[[primary]]"),
        ("primary = []", "no primary module"),
        ("[[primary]]\nmodle = \"m\"", "instead of `modle`"),
        (
            "[[primary]]\nmodel = \"m\"\nmax_token = 1",
            "beside `model`: unknown field `max_token`",
        ),
        (
            "[[primary]]\nname = \"x\"",
            "`patterns`, `shards`, `url`, `path`, `model`",
        ),
        ("[[primary]]\npath = \"m.gguf\"", "sha256"),
        ("[[primary]]\npath = \"m.gguf\"\nsha256 = \"ab\"", "64"),
        (
            "[[primary]]\nmodel = \"m\"\n[primary.sampling]\ntemperature = -1.0",
            "temperature",
        ),
        (
            "[[primary]]\nmodel = \"m\"\nsampling = { top_q = 1 }",
            "top_q",
        ),
        (
            "[[primary]]\nmodel = \"m\"\n[[primary]]\nmodel = \"m\"",
            "two primary modules",
        ),
        (
            "[accept]\ntopics = ['(']\n[[primary]]\nmodel = \"m\"",
            "unclosed group",
        ),
        (
            "[accept]\nmin_fee = \"1 DOT\"\n[[primary]]\nmodel = \"m\"",
            "not an amount",
        ),
        (
            "[accept]\nmin_fee = -1\n[[primary]]\nmodel = \"m\"",
            "an amount",
        ),
        (
            "[[before]]\n[[primary]]\nmodel = \"m\"",
            "`template`, `trim`, `arithmetic`, `calculator`, `knowledge`, `command`",
        ),
        (
            "[[before]]\ntemplate = \"{% if %}\"\n[[primary]]\nmodel = \"m\"",
            "template is wrong",
        ),
        (
            "[[after]]\ncommand = []\n[[primary]]\nmodel = \"m\"",
            "command is empty",
        ),
        (
            "[[after]]\narithmetic = false\n[[primary]]\nmodel = \"m\"",
            "leave the key out",
        ),
        (
            "[[after]]\narithmetic = true\nurl = \"x\"\n[[primary]]\nmodel = \"m\"",
            "`url`",
        ),
        (
            "[[after]]\nurl = \"x\"\ntimeout = 2\n[[primary]]\nmodel = \"m\"",
            "a time such as",
        ),
        (
            "[[after]]\nurl = \"x\"\ntimeout = \"2\"\n[[primary]]\nmodel = \"m\"",
            "\"2s\"",
        ),
        (
            "niceness = 20\n[[primary]]\nmodel = \"m\"",
            "niceness from 0 to 19",
        ),
        ("workers = 0\n[[primary]]\nmodel = \"m\"", "nonzero"),
        (
            "[ranking]\nby = \"x\"\n[[primary]]\nmodel = \"m\"",
            "no module \"x\"",
        ),
        (
            "[ranking]\nranker = \"dice\"\n[[primary]]\nmodel = \"m\"",
            "dice",
        ),
        (
            "[ranking]\nranker = \"similarity\"\nby = \"m\"\n[[primary]]\nmodel = \"m\"",
            "`by`",
        ),
        (
            "[ranking]\nranker = \"lift\"\nhead = \"h\"\n[[primary]]\nmodel = \"m\"",
            "`head`",
        ),
        (
            "[[primary]]\npatterns = []",
            "the list of patterns is empty",
        ),
        (
            "[[primary]]\n[[primary.patterns]]\npattern = 'a'",
            "`answer`, `arithmetic`",
        ),
        (
            "[[primary]]\n[[primary.patterns]]\npattern = 'a'\nanswer = \"b\"\narithmetic = true",
            "beside `answer`",
        ),
        (
            "[[primary]]\nmodel = \"m\"\n[[primary.patterns]]\npattern = 'a'\nanswer = \"b\"",
            "beside `patterns`: unknown field `model`",
        ),
        ("[[serve]]", "`path`, `model`"),
        ("[[serve]]\npath = \"m\"", "sha256"),
        (
            "[[serve]]\nmodel = \"m\"\nof = \"ab\"",
            "beside `model`: unknown field `of`",
        ),
        (
            "[[serve]]\nmodel = \"m\"\nname = \"x\"",
            "unknown field `name`",
        ),
        ("[[serve]]\nmodel = \"m\"\nlayers = \"5..5\"", "0..15"),
        (
            "[[serve]]\nmodel = \"m\"\nlayers = \"0..5\"\nmax_layers = 5",
            "max_layers",
        ),
        ("[[serve]]\nmodel = \"m\"\nmax_layers = 0", "nonzero"),
        (
            "[[serve]]\nmodel = \"m\"\nactivation_bits = 4",
            "known: 8, 16",
        ),
        ("[[serve]]\nmodel = \"m\"\ncache = \"192 XiB\"", "192 MiB"),
        (
            "[[serve]]\nmodel = \"m\"\n[[serve]]\nmodel = \"m\"",
            "one span",
        ),
        (
            "[shards]\nspot_check = 2\n[[serve]]\nmodel = \"m\"",
            "share from 0 to 1",
        ),
        ("[shards]\nwire = \"f8\"\n[[serve]]\nmodel = \"m\"", "f8"),
        (
            "[[primary]]\nmodel = \"m\"\nwire = \"f16\"",
            "unknown field `wire`",
        ),
        (
            "[[primary]]\nmodel = \"m\"\nown_layers = 1",
            "unknown field `own_layers`",
        ),
        (
            "[[primary]]\nmodel = \"m\"\nshards = true\nown_layers = -1",
            "-1",
        ),
        (
            "[[primary]]\nmodel = \"m\"\ndraft = \"n\"",
            "unknown field `draft`",
        ),
        (
            "[[primary]]\nmodel = \"m\"\nshards = true\ndevice = \"cuda:0\"",
            "field `device`",
        ),
        ("[[primary]]\nmodel = \"m\"\ndevice = \"gpu\"", "cuda:N"),
        (
            "[[primary]]\nmodel = \"m\"\nurl = \"http://x\"\nshards = true",
            "field `url`",
        ),
        (
            "[ranking]\nranker = \"judge\"\n[[primary]]\n[[primary.patterns]]\npattern = 'a'\n\
             answer = \"b\"",
            "needs a primary module with a model",
        ),
        (
            "[[primary]]\nurl = \"u\"\nmodel = \"m\"\napi = \"assistants\"",
            "`chat`",
        ),
        (
            "[[primary]]\nurl = \"u\"\nmodel = \"m\"\napi = \"chat\"\nchat_template = \"t\"",
            "leave `chat_template` out",
        ),
        (
            "[ranking]\nranker = \"lift\"\n[[primary]]\nurl = \"u\"\nmodel = \"m\"\napi = \"chat\"",
            "`ranker = \"similarity\"`",
        ),
        (
            "[ranking]\nby = \"m\"\n[[primary]]\nurl = \"u\"\nmodel = \"m\"\napi = \"chat\"",
            "chat completions do not score",
        ),
    ] {
        let error = parse(text).unwrap_err();
        assert!(error.contains(words), "{text:?}: {error}");
        assert!(error.contains("agent.toml"), "{error}");
    }
    let missing = Config::load(Path::new("/nowhere/agent.toml")).unwrap_err();
    assert!(missing.to_string().contains("/nowhere/agent.toml"));
}

#[test]
fn a_module_of_chat_completions_leaves_scoring_to_another_model_or_to_similarity() {
    const CHAT: &str = "[[primary]]\nurl = \"u\"\nmodel = \"c\"\napi = \"chat\"\n";
    assert_eq!(parse(CHAT).unwrap().ranked_by().unwrap(), None);
    let config = parse(&format!("{CHAT}{MODEL}")).unwrap();
    assert_eq!(config.ranked_by().unwrap().unwrap().0.name(), "m");
}

#[test]
fn keys_of_earlier_versions_are_named_with_their_successors() {
    for (text, words) in [
        (
            "[[serve]]\nmodel = \"m\"\nblocks = \"0..5\"",
            "serve: `blocks` is now `layers`",
        ),
        (
            "[[serve]]\nmodel = \"m\"\nmax_blocks = 5",
            "`max_blocks` is now `max_layers`",
        ),
        (
            "[[serve]]\nmodel = \"m\"\ncache_mib = 5",
            "`cache_mib = 5` is now `cache = \"5 MiB\"`",
        ),
        (
            "[[primary]]\nmodel = \"m\"\ncache_mib = 5",
            "primary: `cache_mib = 5` is now",
        ),
        (
            "[[primary]]\nurl = \"u\"\ntimeout_ms = 5",
            "`timeout = \"5ms\"`",
        ),
        (
            "[[primary]]\n[[primary.rules]]\npattern = 'a'",
            "primary: `rules` is now `patterns`",
        ),
        (
            "[[before]]\nurl = \"u\"\ntimeout_ms = 5",
            "before: `timeout_ms = 5` is now",
        ),
        (
            "[[after]]\nurl = \"u\"\nmax_bytes = 5",
            "after: `max_bytes = 5` is now `max_output = \"5 B\"`",
        ),
        (
            "[shards]\npatience_ms = 5",
            "shards: `patience_ms = 5` is now `patience = \"5ms\"`",
        ),
        ("[shards]\npush_from_ms = 5", "`push_from = \"5ms\"`"),
    ] {
        let error = parse(text).unwrap_err();
        assert!(error.contains(words), "{text:?}: {error}");
        assert!(error.contains("agent.toml"), "{error}");
    }
}

#[test]
fn paths_are_relative_to_the_file() {
    let hash = "0".repeat(64);
    let config = parse(&format!(
        "store = \"models\"\n[[before]]\ncommand = [\"./a.sh\", \"b/c\"]\n[[before]]\n\
         command = [\"cat\"]\n[[primary]]\nurl = \"u\"\nmodel = \"m\"\nchat_template = \"t\"\n\
         [[primary]]\npath = \"f\"\nsha256 = \"{hash}\"\n[ranking]\nreference = \"r\""
    ))
    .unwrap();
    assert!(config.store.unwrap().is_absolute());
    let [Step::Command { command: own, .. }, Step::Command { command: cat, .. }] =
        &config.before[..]
    else {
        panic!("two commands")
    };
    assert!(own.program.is_absolute());
    assert_eq!(own.arguments, ["b/c"]);
    assert_eq!(cat.program, Path::new("cat"));
    assert!(matches!(
        [&config.primary[0].source, &config.primary[1].source],
        [Source::Endpoint(endpoint), Source::File(file)]
            if endpoint.chat_template.as_ref().unwrap().is_absolute() && file.path.is_absolute()
    ));
    assert!(matches!(
        config.ranking,
        Ranking::Model(ModelRanking { reference: Some(path), .. }) if path.is_absolute()
    ));
}

#[test]
fn a_knowledge_base_has_paths_beside_the_file_and_stands_before_the_module() {
    let step =
        "knowledge = \"facts\"\nembeddings = \"minilm\"\npassages = 2\nmax_added = \"1 KiB\"";
    let config = parse(&format!("[[before]]\n{step}\n{MODEL}")).unwrap();
    let [Step::Knowledge { knowledge, lookup }] = &config.before[..] else {
        panic!("a knowledge base")
    };
    let settings = lookup.settings(knowledge);
    assert!(settings.folder.is_absolute() && settings.folder.ends_with("facts"));
    assert!(settings.embeddings.unwrap().is_absolute());
    assert_eq!(settings.index, settings.folder.join(".starling-index"));
    assert_eq!((lookup.passages(), lookup.max_added()), (2, 1 << 10));
    let error = parse(&format!("[[after]]\n{step}\n{MODEL}")).unwrap_err();
    assert!(error.contains("belongs to [[before]]"), "{error}");
    for (key, wrong) in [
        ("passages", "\"two\""),
        ("max_text", "5"),
        ("folder", "\"x\""),
    ] {
        let text = format!("[[before]]\nknowledge = \"facts\"\n{key} = {wrong}\n{MODEL}");
        let error = parse(&text).unwrap_err();
        assert!(error.contains("knowledge"), "{error}");
    }
}

#[test]
fn answers_that_are_counted_are_drawn_close_to_the_most_probable_one() {
    let temperature = |sampling: &str, form, is_first| {
        let config = parse(&format!("{MODEL}[primary.sampling]\n{sampling}")).unwrap();
        let generation = config.primary[0].generation().unwrap();
        let sampling = generation.sampling.of_form(form, is_first);
        sampling.with_seed(|_| 0).temperature
    };
    for form in [Form::Number, Form::Choice, Form::Short] {
        assert_eq!(temperature("", form, true), 0.0);
        assert_eq!(temperature("", form, false), 0.3);
        assert_eq!(temperature("temperature = 0.2", form, false), 0.2);
        let chosen = "counted_temperature = 0.5";
        assert_eq!(temperature(chosen, form, true), 0.5);
    }
    assert_eq!(temperature("", Form::Free, true), 0.7);
    let wrong = "[primary.sampling]\ncounted_temperature = -1.0";
    let error = parse(&format!("{MODEL}{wrong}")).unwrap_err();
    assert!(error.contains("counted_temperature"), "{error}");
}

#[test]
fn the_first_of_the_accounts_is_first() {
    let config = parse(&format!("accounts = [\"Alice\", \"Bob\"]\n{MODEL}")).unwrap();
    let is_first = config
        .accounts
        .iter()
        .map(|account| config.is_first(&account.0));
    assert_eq!(is_first.collect::<Vec<_>>(), [true, false]);
}

#[test]
fn a_private_head_is_found_beside_the_file_and_needs_no_model() {
    let text = "[[primary]]\n[[primary.patterns]]\npattern = 'a'\nanswer = \"b\"\n\
                [ranking]\nhead = \"my.head\"";
    let config = parse(text).unwrap();
    assert_eq!(config.ranked_by(), Ok(None));
    assert!(matches!(config.ranking, Ranking::Head(path) if path.is_absolute()));
}
