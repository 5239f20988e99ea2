// SPDX-License-Identifier: Apache-2.0
//! `starling-infer tokenize`.

use crate::common::{model_path, text_or_stdin, Failure, StoreArgs};
use starling_console::outln;
use starling_engine::{
    gguf::Gguf,
    tokenizer::{Specials, Tokenizer},
};

#[derive(clap::Args)]
pub struct Args {
    /// A model of the store by name, or the path of a GGUF file
    #[arg(short, long)]
    model: String,
    /// The text; read from standard input if missing
    text: Option<String>,
    /// Recognise special tokens in the text
    #[arg(long)]
    specials: bool,
    /// Print only the token numbers, on one line
    #[arg(long)]
    ids: bool,
}

pub fn run(store: &StoreArgs, args: Args) -> Result<(), Failure> {
    let gguf = Gguf::open(&model_path(store, &args.model)?)?;
    let tokenizer = Tokenizer::from_gguf(gguf.metadata())?;
    let specials = if args.specials {
        Specials::Parse
    } else {
        Specials::Literal
    };
    let tokens = tokenizer.encode(&text_or_stdin(args.text)?, specials);
    if args.ids {
        let ids: Vec<_> = tokens.iter().map(ToString::to_string).collect();
        outln!("{}", ids.join(" "));
    } else {
        for &token in &tokens {
            let special = if tokenizer.is_special(token) {
                "  special"
            } else {
                ""
            };
            outln!(
                "{token:>7} {:?}{special}",
                tokenizer.token_text(token).unwrap_or_default()
            );
        }
    }
    Ok(())
}
