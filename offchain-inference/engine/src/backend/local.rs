// SPDX-License-Identifier: Apache-2.0
//! A model whose ends are in this process, and its blocks too or on other nodes.

use super::{Answer, Ask, Backend, BackendError, PromptTree};
use crate::{
    candle::CandleModel,
    chat::ChatTemplate,
    generate::{Cancel, Finish, GenerateOptions, Generation, StopFilter},
    gguf::Gguf,
    prompt::Prompt,
    sampling::Sampler,
    tokenizer::{TokenId, Tokenizer},
    Ends, Error, Hidden, Input, LoadOptions, Model, Sequence, Step, Trunk,
};
use std::{path::Path, time::Instant};

/// Rows of hidden states that one forward pass of [`LocalBackend::evaluate`] computes at most,
/// unless a single node has more. Enough to keep the matrix products busy, little enough memory.
const ROWS_PER_PASS: usize = 512;

/// Rows of logits that are held at a time.
const LOGIT_ROWS: usize = 8;

/// A model with its tokenizer and chat template.
pub struct LocalBackend<T: Trunk = Model> {
    name: String,
    trunk: T,
    tokenizer: Tokenizer,
    chat: ChatTemplate,
}

/// A node under evaluation: the sequence up to its end, and the hidden state of its last token
/// (1 × width), from which the next token follows.
struct Evaluated<S> {
    session: S,
    last: Hidden,
}

/// What came of a node: its end, where children go on from there, and the answer.
type Outcome<S> = (Option<Evaluated<S>>, Answer);

impl LocalBackend {
    /// Loads the model file at `path`.
    pub fn load(path: &Path, options: &LoadOptions) -> Result<Self, BackendError> {
        Self::load_with(path, |gguf| Model::load_from(gguf, options))
    }
}

impl LocalBackend<CandleModel> {
    /// Loads the model file at `path` onto a device of candle's.
    pub fn load_on(
        device: &candle_core::Device,
        path: &Path,
        options: &LoadOptions,
    ) -> Result<Self, BackendError> {
        Self::load_with(path, |gguf| CandleModel::load_from(gguf, device, options))
    }
}

impl<T: Trunk> LocalBackend<T> {
    /// Loads the ends of the model file at `path`; its blocks are computed by what `connect` makes
    /// of them.
    pub fn load_ends(
        path: &Path,
        options: &LoadOptions,
        connect: impl FnOnce(Model) -> T,
    ) -> Result<Self, BackendError> {
        let options = LoadOptions {
            blocks: Some(0..0),
            ends: true,
            ..options.clone()
        };
        Self::load_with(path, |gguf| Ok(connect(Model::load_from(gguf, &options)?)))
    }

    fn load_with(
        path: &Path,
        load: impl FnOnce(&Gguf) -> Result<T, Error>,
    ) -> Result<Self, BackendError> {
        let gguf = Gguf::open(path)?;
        let tokenizer = Tokenizer::from_gguf(gguf.metadata())?;
        let trunk = load(&gguf)?;
        let name = gguf
            .str("general.name")?
            .map(str::to_owned)
            .or_else(|| Some(path.file_stem()?.to_string_lossy().into_owned()))
            .unwrap_or_default();
        Self::new(name, trunk, tokenizer)
    }

    /// From parts that are loaded already.
    pub fn new(name: String, trunk: T, tokenizer: Tokenizer) -> Result<Self, BackendError> {
        let vocabulary = trunk.ends().config().vocab;
        if tokenizer.len() != vocabulary {
            return Err(BackendError::VocabularyMismatch {
                tokenizer: tokenizer.len(),
                model: vocabulary,
            });
        }
        let text = |id: Option<TokenId>| id.and_then(|id| tokenizer.token_text(id));
        let chat = ChatTemplate::new(
            tokenizer.chat_template(),
            text(tokenizer.bos()),
            text(tokenizer.eos()),
        )?;
        Ok(Self {
            name,
            trunk,
            tokenizer,
            chat,
        })
    }

    /// The model; where its blocks are elsewhere, its ends.
    pub fn model(&self) -> &T::Ends {
        self.trunk.ends()
    }

    /// What computes its blocks.
    pub fn trunk(&self) -> &T {
        &self.trunk
    }

    /// The tokenizer.
    pub fn tokenizer(&self) -> &Tokenizer {
        &self.tokenizer
    }

    fn first_token(&self, text: &str) -> Result<TokenId, BackendError> {
        let tokens = self.tokenizer.encode_continuation(&Prompt::data(text));
        tokens.first().copied().ok_or(BackendError::EmptyPrompt)
    }

    /// The first tokens of `texts`, all different.
    fn first_tokens(&self, texts: &[String]) -> Result<Vec<TokenId>, BackendError> {
        let mut tokens: Vec<TokenId> = Vec::with_capacity(texts.len());
        for text in texts {
            let token = self.first_token(text)?;
            if let Some((_, same)) = tokens.iter().zip(texts).find(|(&t, _)| t == token) {
                return Err(BackendError::SameToken(same.clone(), text.clone()));
            }
            tokens.push(token);
        }
        Ok(tokens)
    }

    /// Computes sibling nodes in one pass.
    fn evaluate_pass(
        &self,
        nodes: &[&Pending<'_>],
        parent: Option<&Evaluated<T::Session>>,
    ) -> Result<Vec<Outcome<T::Session>>, BackendError> {
        let mut sessions = nodes
            .iter()
            .map(|node| match parent {
                Some(parent) => parent.session.fork(),
                None => self.trunk.session_with_prefix(&node.tokens),
            })
            .collect::<Vec<_>>();
        let inputs: Vec<_> = nodes
            .iter()
            .zip(&sessions)
            .map(|(node, session)| {
                // A root may begin with tokens that an earlier request computed. A leaf's last
                // token predicts nothing that anyone asks for.
                let from = if parent.is_none() { session.len() } else { 0 };
                let to = node.tokens.len() - usize::from(node.is_scored_leaf());
                node.tokens.get(from..to).unwrap_or_default()
            })
            .collect();
        let mut steps: Vec<_> = sessions
            .iter_mut()
            .zip(&inputs)
            .filter(|(_, input)| !input.is_empty())
            .map(|(session, input)| Step {
                session,
                input: Input::Tokens(input),
            })
            .collect();
        let mut computed = self.trunk.forward(&mut steps)?.into_iter();
        let mut results = vec![];
        for ((node, session), input) in nodes.iter().zip(sessions).zip(&inputs) {
            let hidden = if input.is_empty() {
                None
            } else {
                computed.next()
            };
            let answer = self.answer(node, parent.map(|p| &p.last), hidden.as_ref())?;
            let kept = hidden
                .filter(|_| !node.children.is_empty())
                .map(|hidden| Evaluated {
                    session,
                    last: hidden.last(),
                });
            results.push((kept, answer));
        }
        Ok(results)
    }

    /// Evaluates sibling nodes and all below them, depth first: only the caches on the way to the
    /// nodes at work are held.
    fn visit(
        &self,
        siblings: &[usize],
        parent: Option<&Evaluated<T::Session>>,
        nodes: &[Pending<'_>],
        answers: &mut [Answer],
        cancel: &Cancel,
    ) -> Result<(), BackendError> {
        for pass in passes(siblings.iter().filter_map(|&i| nodes.get(i))) {
            if cancel.is_cancelled() {
                return Err(BackendError::Cancelled);
            }
            for (node, (evaluated, answer)) in pass.iter().zip(self.evaluate_pass(&pass, parent)?) {
                if let Some(slot) = answers.get_mut(node.index) {
                    *slot = answer;
                }
                if evaluated.is_some() {
                    self.visit(&node.children, evaluated.as_ref(), nodes, answers, cancel)?;
                }
            }
        }
        Ok(())
    }

    /// Computes `tokens` and returns their hidden state, tokens × width.
    pub fn extend(&self, session: &mut T::Session, tokens: &[TokenId]) -> Result<Hidden, Error> {
        let input = Input::Tokens(tokens);
        let outputs = self.trunk.forward(&mut [Step { session, input }])?;
        outputs.into_iter().next().ok_or(Error::EmptyInput)
    }

    /// `before` is the hidden state of the token before the node's first, `hidden` those of the
    /// node's tokens (without the last one of a scored leaf).
    fn answer(
        &self,
        node: &Pending<'_>,
        before: Option<&Hidden>,
        hidden: Option<&Hidden>,
    ) -> Result<Answer, BackendError> {
        match node.ask {
            Ask::Nothing => Ok(Answer::Nothing),
            Ask::Next(texts) => {
                let tokens = self.first_tokens(texts)?;
                let hidden = hidden.ok_or(BackendError::EmptyPrompt)?;
                let row = hidden.rows() - 1;
                Ok(Answer::Next(self.model().logits_of(hidden, row, &tokens)?))
            },
            Ask::Tokens | Ask::Greedy => {
                // What predicts token i is row i: the parent's last, then this node's own.
                let width = self.model().config().width;
                let mut data = Vec::with_capacity(node.tokens.len() * width);
                let before = before.ok_or(BackendError::EmptyPrompt)?;
                data.extend_from_slice(before.as_slice());
                data.extend(hidden.into_iter().flat_map(Hidden::as_slice));
                data.truncate(node.tokens.len() * width);
                let rows = Hidden::new(width, data)?;
                if *node.ask == Ask::Greedy {
                    return self.greedy(&rows, &node.tokens);
                }
                let targets: Vec<_> = node.tokens.iter().copied().enumerate().collect();
                Ok(Answer::Tokens(self.model().logprobs(&rows, &targets)?))
            },
        }
    }

    /// ln p of each token and whether each is the most probable one. `rows` has a row a token.
    fn greedy(&self, rows: &Hidden, tokens: &[TokenId]) -> Result<Answer, BackendError> {
        let vocabulary = self.model().config().vocab;
        let mut logprobs = Vec::with_capacity(tokens.len());
        let mut all_best = true;
        let chunks = rows.as_slice().chunks(LOGIT_ROWS * rows.width());
        for (chunk, tokens) in chunks.zip(tokens.chunks(LOGIT_ROWS)) {
            let logits = self
                .model()
                .logits(&Hidden::new(rows.width(), chunk.to_vec())?)?;
            for (row, &token) in logits.chunks_exact(vocabulary).zip(tokens) {
                let best = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
                let total: f64 = row.iter().map(|&l| f64::from(l - best).exp()).sum();
                let own = row
                    .get(token as usize)
                    .copied()
                    .unwrap_or(f32::NEG_INFINITY);
                logprobs.push((f64::from(own - best) - total.ln()) as f32);
                all_best &= own >= best;
            }
        }
        Ok(Answer::Greedy(logprobs, all_best))
    }
}

/// A node of the tree, tokenised.
struct Pending<'a> {
    index: usize,
    tokens: Vec<TokenId>,
    ask: &'a Ask,
    children: Vec<usize>,
}

impl Pending<'_> {
    fn is_scored_leaf(&self) -> bool {
        self.children.is_empty() && matches!(self.ask, Ask::Tokens | Ask::Greedy)
    }
}

/// Groups nodes so that no group has more than [`ROWS_PER_PASS`] rows, unless it is a single node.
fn passes<'a, 'b>(nodes: impl Iterator<Item = &'a Pending<'b>>) -> Vec<Vec<&'a Pending<'b>>>
where
    'b: 'a,
{
    let mut groups: Vec<Vec<&Pending<'_>>> = vec![];
    let mut rows = usize::MAX;
    for node in nodes {
        rows = rows.saturating_add(node.tokens.len());
        match groups.last_mut().filter(|_| rows <= ROWS_PER_PASS) {
            Some(group) => group.push(node),
            None => {
                groups.push(vec![node]);
                rows = node.tokens.len();
            },
        }
    }
    groups
}

impl<T: Trunk> Backend for LocalBackend<T> {
    fn name(&self) -> &str {
        &self.name
    }

    fn context_length(&self) -> Option<usize> {
        Some(self.model().config().context)
    }

    fn chat(&self) -> &ChatTemplate {
        &self.chat
    }

    fn cut<'a>(&self, text: &'a str, max_tokens: usize) -> &'a str {
        // No token of a sane vocabulary is longer; keeps huge texts away from the tokenizer.
        const LONGEST_TOKEN: usize = 128;
        let mut text = floor(text, max_tokens.saturating_mul(LONGEST_TOKEN));
        loop {
            let tokens = self.tokenizer.encode_continuation(&Prompt::data(text));
            if tokens.len() <= max_tokens {
                return text;
            }
            let mut kept = vec![];
            for &token in tokens.iter().take(max_tokens) {
                self.tokenizer.token_bytes(token, &mut kept);
            }
            // A shorter text may be segmented differently, and a vocabulary may lack bytes: always
            // shrink, and look again.
            text = floor(text, kept.len().min(text.len() - 1));
        }
    }

    fn generate(
        &self,
        prompt: &Prompt,
        options: &GenerateOptions,
        cancel: &Cancel,
        on_text: &mut dyn FnMut(&str),
    ) -> Result<Generation, BackendError> {
        let mut sampler = Sampler::new(options.sampling.clone())?;
        if prompt.is_empty() {
            return Err(BackendError::EmptyPrompt);
        }
        let mut tokens = self.tokenizer.encode_prompt(prompt);
        let context = self.model().config().context;
        if tokens.len() > context {
            return Err(Error::ContextFull {
                context,
                needed: tokens.len(),
            }
            .into());
        }
        let started = Instant::now();
        let mut session = self.trunk.session_with_prefix(&tokens);
        let cached_tokens = session.len();
        let prompt_tokens = tokens.len();
        let new = tokens.get(cached_tokens..).unwrap_or_default();
        let mut hidden = self.extend(&mut session, new)?;
        let mut stream = self.tokenizer.stream();
        let mut filter = StopFilter::new(&options.stop);
        let mut text = String::new();
        let mut emit = |piece: &str, text: &mut String| {
            if !piece.is_empty() {
                text.push_str(piece);
                on_text(piece);
            }
        };
        let mut prefill = None;
        let finish = loop {
            if cancel.is_cancelled() {
                break Finish::Cancelled;
            }
            if tokens.len() - prompt_tokens >= options.max_tokens {
                break Finish::MaxTokens;
            }
            let token = sampler.sample(&self.model().logits(&hidden.last())?, &tokens)?;
            prefill.get_or_insert_with(|| started.elapsed());
            tokens.push(token);
            if self.tokenizer.ends_generation(token) {
                break Finish::EndOfTurn;
            }
            let (piece, stopped) = filter.push(&stream.push(token));
            emit(&piece, &mut text);
            if let Some(stop) = stopped {
                break Finish::Stop(stop.to_owned());
            }
            if tokens.len() >= context {
                break Finish::ContextFull;
            }
            if tokens.len() - prompt_tokens < options.max_tokens {
                hidden = self.extend(&mut session, &[token])?;
            }
        };
        if !matches!(finish, Finish::Stop(_)) {
            let (piece, _) = filter.push(&stream.finish());
            emit(&piece, &mut text);
            emit(&filter.finish(), &mut text);
        }
        let prefill = prefill.unwrap_or_else(|| started.elapsed());
        Ok(Generation {
            text,
            tokens: tokens.split_off(prompt_tokens),
            finish,
            prompt_tokens: Some(prompt_tokens),
            cached_tokens,
            prefill,
            decode: started.elapsed() - prefill,
        })
    }

    fn evaluate(&self, tree: &PromptTree, cancel: &Cancel) -> Result<Vec<Answer>, BackendError> {
        let mut nodes: Vec<Pending<'_>> = Vec::with_capacity(tree.nodes().len());
        let mut roots = vec![];
        for (index, node) in tree.nodes().iter().enumerate() {
            let tokens = match node.parent {
                Some(_) => self.tokenizer.encode_continuation(&node.text),
                None => self.tokenizer.encode_prompt(&node.text),
            };
            if tokens.is_empty() {
                return Err(BackendError::EmptyPrompt);
            }
            match node.parent.and_then(|parent| nodes.get_mut(parent.0)) {
                Some(parent) => parent.children.push(index),
                None => roots.push(index),
            }
            nodes.push(Pending {
                index,
                tokens,
                ask: &node.ask,
                children: vec![],
            });
        }
        let mut answers = vec![Answer::Nothing; nodes.len()];
        self.visit(&roots, None, &nodes, &mut answers, cancel)?;
        Ok(answers)
    }
}

/// The longest beginning of `text` of at most `bytes` bytes.
fn floor(text: &str, bytes: usize) -> &str {
    text.get(..text.floor_char_boundary(bytes)).unwrap_or(text)
}
