// SPDX-License-Identifier: Apache-2.0
//! Prompts that share prefixes, and questions about them.

use crate::prompt::Prompt;

/// The place of a node in its tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NodeId(pub(crate) usize);

/// A question about a node. Probabilities are the model's without temperature.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ask {
    /// Nothing; the node serves its children alone.
    Nothing,
    /// ln p of each of the node's tokens, given all before it. Not for a sequence's beginning,
    /// before which there is nothing.
    Tokens,
    /// As `Tokens`, and whether greedy decoding would have given these tokens.
    Greedy,
    /// For each of these texts, the logit of its first token as the token after the node.
    Next(Vec<String>),
}

/// The reply to an [`Ask`].
#[derive(Clone, Debug, PartialEq)]
pub enum Evaluation {
    /// Nothing was asked.
    Nothing,
    /// ln p in nats, one a token.
    Tokens(Vec<f32>),
    /// ln p in nats, one a token, and true if each token is the most probable one.
    Greedy(Vec<f32>, bool),
    /// Logits up to a common constant, in the order of the texts.
    Next(Vec<f32>),
}

/// A piece of text that continues its parent's.
#[derive(Clone, Debug)]
pub struct Node {
    /// The node that this one continues; `None` at the beginning of a sequence.
    pub parent: Option<NodeId>,
    /// Its text; at the beginning of a sequence the token that begins a text comes before it.
    pub text: Prompt,
    /// The question about it.
    pub ask: Ask,
}

/// Prompts in a tree (or several), parents before children. The text on the way from a root to a
/// node is one sequence.
#[derive(Clone, Debug, Default)]
pub struct PromptTree(Vec<Node>);

impl PromptTree {
    /// An empty tree.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a sequence's beginning.
    pub fn root(&mut self, text: Prompt, ask: Ask) -> NodeId {
        self.push(Node {
            parent: None,
            text,
            ask,
        })
    }

    /// Adds a continuation of `parent`.
    ///
    /// # Panics
    ///
    /// If `parent` belongs to another, larger tree.
    pub fn child(&mut self, parent: NodeId, text: Prompt, ask: Ask) -> NodeId {
        assert!(parent.0 < self.0.len(), "the parent is a node of this tree");
        self.push(Node {
            parent: Some(parent),
            text,
            ask,
        })
    }

    fn push(&mut self, node: Node) -> NodeId {
        self.0.push(node);
        NodeId(self.0.len() - 1)
    }

    /// All nodes, parents before children.
    pub fn nodes(&self) -> &[Node] {
        &self.0
    }

    /// A node.
    pub fn get(&self, id: NodeId) -> Option<&Node> {
        self.0.get(id.0)
    }

    /// The text of all ancestors of `id`, from the root on, without its own.
    pub fn before(&self, id: NodeId) -> Prompt {
        let mut way = vec![];
        let mut next = self.get(id).and_then(|node| node.parent);
        while let Some(node) = next.and_then(|id| self.get(id)) {
            way.push(&node.text);
            next = node.parent;
        }
        way.into_iter()
            .rev()
            .fold(Prompt::new(), |all, text| all.then(text.clone()))
    }
}
