// SPDX-License-Identifier: Apache-2.0
//! The cases of disputes for the dashboard. All of them are public.

use std::collections::BTreeMap;

use futures::future::try_join_all;
use serde_json::{json, Value};
use starling_client::{
    disputes::{report, CaseId, Report},
    Error,
};

use crate::{failure::Failure, gateway::Gateway, node::unreachable};

/// The state of a chain's court.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Court {
    /// The runtime has no disputes.
    None,
    /// Nobody can be accused now.
    Closed,
    /// Agents can be accused.
    Open,
}

impl Court {
    fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Closed => "closed",
            Self::Open => "open",
        }
    }
}

impl Gateway {
    /// Whether agents can be accused, and the stored cases, the newest first.
    pub async fn disputes(&self) -> Result<Value, Failure> {
        let chain = self.desk.node.chain().await?;
        let best = chain.best().await.map_err(unreachable)?;
        let read = async {
            if !best.has_disputes() {
                return Ok(docket(best.number(), Court::None, vec![]));
            }
            let court = match best.can_be_accused().await.map_err(unreachable)? {
                true => Court::Open,
                false => Court::Closed,
            };
            let ids = best.disputes().await.map_err(unreachable)?;
            let views = ids.into_iter().map(|id| best.dispute(id));
            let views = try_join_all(views).await.map_err(unreachable)?;
            let cases = views.iter().map(|view| {
                let report = report(view, |who| chain.name(who));
                of_case(&report, &self.model_names)
            });
            let cases: Vec<_> = cases.collect::<Result<_, _>>()?;
            Ok(docket(best.number(), court, cases))
        };
        self.survey.disputes.at(best.hash(), read).await
    }

    /// A case, and the block as of which it is.
    pub async fn dispute(&self, id: CaseId) -> Result<Value, Failure> {
        let chain = self.desk.node.chain().await?;
        let best = chain.best().await.map_err(unreachable)?;
        if !best.has_disputes() {
            return Err(Failure::UnknownCase);
        }
        let view = best.dispute(id).await.map_err(|error| match error {
            Error::NotFound(_) => Failure::UnknownCase,
            error => unreachable(error),
        })?;
        let report = report(&view, |who| chain.name(who));
        let mut case = of_case(&report, &self.model_names)?;
        set(&mut case, "block", json!(best.number()));
        Ok(case)
    }
}

fn docket(block: u32, court: Court, cases: Vec<Value>) -> Value {
    json!({ "object": "list", "block": block, "court": court.name(), "data": cases })
}

/// The object of a case, with the name of its model.
fn of_case(report: &Report, models: &BTreeMap<String, String>) -> Result<Value, Failure> {
    let mut case = serde_json::to_value(report).map_err(|_| Failure::Internal)?;
    set(&mut case, "model_name", json!(models.get(&report.model)));
    Ok(case)
}

fn set(object: &mut Value, field: &str, value: Value) {
    if let Some(fields) = object.as_object_mut() {
        fields.insert(field.to_owned(), value);
    }
}

#[cfg(test)]
mod tests {
    use starling_client::{
        disputes::{Accused, Executor},
        report::Account,
    };

    use super::*;

    fn account(name: &str) -> Account {
        Account {
            name: name.to_owned(),
            address: format!("5{name}"),
        }
    }

    fn case() -> Report {
        let accused = |name: &str| Accused {
            agent: account(name),
            stake: "10".to_owned(),
            verdict: None,
        };
        Report {
            case: 3,
            opened: 100,
            phase: "committing",
            due: 144,
            accuser: account("Dave"),
            bond: (1u64 << 60).to_string(),
            accused: [accused("Bob"), accused("Charlie")],
            model: "aa".to_owned(),
            layers: (15, 30),
            published: false,
            appealed: false,
            committee: vec![Executor {
                agent: account("Alice"),
                state: "committed",
                finding: "has committed",
            }],
            ruling: None,
        }
    }

    #[test]
    fn a_case_has_the_name_of_its_model_where_it_is_known() {
        let models = BTreeMap::from([("aa".to_owned(), "small".to_owned())]);
        let known = of_case(&case(), &models).unwrap();
        assert_eq!(known["model_name"], "small");
        assert_eq!(known["layers"], json!([15, 30]));
        assert_eq!(known["accused"][1]["agent"]["name"], "Charlie");
        assert_eq!(known["committee"][0]["state"], "committed");
        let unknown = of_case(&case(), &BTreeMap::new()).unwrap();
        assert!(unknown["model_name"].is_null());
        assert_eq!(unknown["model"], "aa");
    }

    #[test]
    fn an_empty_list_tells_whether_agents_can_be_accused() {
        for (court, name) in [
            (Court::None, "none"),
            (Court::Closed, "closed"),
            (Court::Open, "open"),
        ] {
            let list = docket(7, court, vec![]);
            assert_eq!((&list["court"], &list["data"]), (&json!(name), &json!([])));
        }
    }
}
