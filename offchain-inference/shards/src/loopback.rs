// SPDX-License-Identifier: Apache-2.0
//! Lets a node use its own span like the spans of other nodes.

use std::{
    sync::{mpsc::sync_channel, Arc, OnceLock, Weak},
    time::Duration,
};

use parking_lot::Mutex;

use crate::transport::{Inbox, ModelId, Peer, Transport, TransportError};

/// A transport that also delivers to this node itself.
pub(crate) struct Loopback {
    outside: Arc<dyn Transport>,
    inbox: OnceLock<Weak<dyn Inbox>>,
    provided: Mutex<Vec<ModelId>>,
}

impl Loopback {
    pub fn new(outside: Arc<dyn Transport>) -> Self {
        Self {
            outside,
            inbox: OnceLock::new(),
            provided: Mutex::default(),
        }
    }

    fn inbox(&self) -> Result<Arc<dyn Inbox>, TransportError> {
        let inbox = self.inbox.get().and_then(Weak::upgrade);
        inbox.ok_or_else(|| TransportError::Disconnected(self.local()))
    }
}

impl Transport for Loopback {
    fn local(&self) -> Peer {
        self.outside.local()
    }

    fn attach(&self, inbox: Weak<dyn Inbox>) {
        let _ = self.inbox.set(inbox.clone());
        self.outside.attach(inbox);
    }

    fn provide(&self, models: &[ModelId]) {
        *self.provided.lock() = models.to_vec();
        self.outside.provide(models);
    }

    fn providers(&self, model: &ModelId) -> Vec<Peer> {
        let mut peers = self.outside.providers(model);
        if self.provided.lock().contains(model) {
            peers.push(self.local());
        }
        peers
    }

    fn request(
        &self,
        to: &Peer,
        payload: Vec<u8>,
        timeout: Duration,
    ) -> Result<Vec<u8>, TransportError> {
        if *to != self.local() {
            return self.outside.request(to, payload, timeout);
        }
        let (sender, response) = sync_channel(1);
        let respond = move |payload| {
            // The receiver may be gone.
            let _ = sender.send(payload);
        };
        self.inbox()?
            .request(self.local(), payload, Box::new(respond));
        let response = response.recv_timeout(timeout);
        response.map_err(|_| TransportError::Timeout(self.local()))
    }

    fn send(&self, to: &Peer, payload: Vec<u8>, timeout: Duration) -> Result<(), TransportError> {
        if *to != self.local() {
            return self.outside.send(to, payload, timeout);
        }
        self.inbox()?.message(self.local(), payload);
        Ok(())
    }

    fn try_send(&self, to: &Peer, payload: Vec<u8>) -> Result<(), Vec<u8>> {
        if *to != self.local() {
            return self.outside.try_send(to, payload);
        }
        match self.inbox() {
            Ok(inbox) => {
                inbox.message(self.local(), payload);
                Ok(())
            },
            Err(_) => Err(payload),
        }
    }

    fn max_message(&self) -> usize {
        self.outside.max_message()
    }
}
