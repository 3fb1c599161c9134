//! The centre on paper: accounts, queues, reasons to pause, agents and how each of them is.

use ringfence_core::{AccountId, AgentId, BadId, QueueId, ReasonId};
use serde_json::{Value, json};

use crate::demo::names;
use crate::demo::pace::Pace;
use crate::demo::random::Random;

/// Accounts and how many people each has.
const ACCOUNTS: [(&str, usize); 3] = [("acme", 120), ("globex", 60), ("initech", 20)];
const FIRST_EXTENSION: usize = 1001;

/// The share of an account's callers each queue gets, and what it is set to.
const QUEUES: [QueueTerms; 3] = [
    QueueTerms { id: "sales", name: "Sales", share: 0.45, ring_sec: 15.0, wrap_up_sec: 8.0, misses: 2 },
    QueueTerms { id: "support", name: "Support", share: 0.40, ring_sec: 20.0, wrap_up_sec: 16.0, misses: 3 },
    QueueTerms { id: "billing", name: "Billing", share: 0.15, ring_sec: 20.0, wrap_up_sec: 12.0, misses: 3 },
];

const REASONS: [ReasonTerms; 3] = [
    ReasonTerms {
        id: "lunch",
        name: "Lunch",
        share: 0.4,
        minutes: 3.0,
        allow_inbound: false,
        productive: false,
    },
    ReasonTerms {
        id: "training",
        name: "Training",
        share: 0.25,
        minutes: 4.0,
        allow_inbound: false,
        productive: true,
    },
    ReasonTerms {
        id: "back_office",
        name: "Back office",
        share: 0.35,
        minutes: 2.0,
        allow_inbound: true,
        productive: true,
    },
];

/// A few never look up when it rings, so that somebody gets the system's own pause reason.
const DREAMERS: f64 = 0.03;

#[derive(Debug)]
struct QueueTerms {
    id: &'static str,
    name: &'static str,
    share: f64,
    ring_sec: f64,
    wrap_up_sec: f64,
    misses: u32,
}

#[derive(Debug)]
struct ReasonTerms {
    id: &'static str,
    name: &'static str,
    share: f64,
    /// How long it takes, in the middle.
    minutes: f64,
    allow_inbound: bool,
    productive: bool,
}

#[derive(Debug, Clone)]
pub struct AccountPlan {
    pub id: AccountId,
    pub queues: Vec<QueuePlan>,
    pub reasons: Vec<ReasonPlan>,
    pub agents: Vec<AgentPlan>,
}

#[derive(Debug, Clone)]
pub struct QueuePlan {
    pub id: QueueId,
    pub share: f64,
    pub settings: Value,
}

#[derive(Debug, Clone)]
pub struct ReasonPlan {
    pub id: ReasonId,
    pub share: f64,
    pub minutes: f64,
    pub fields: Value,
}

#[derive(Debug, Clone)]
pub struct AgentPlan {
    pub id: AgentId,
    pub aor: String,
    pub fields: Value,
    /// Queues to log in to, with the tier.
    pub queues: Vec<(QueueId, u8)>,
    pub begins: Begins,
    pub dreamer: bool,
    /// Out of 100 desks some have no phone.
    pub has_phone: bool,
}

/// How an agent is found when the doors open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Begins {
    OnDuty,
    Paused,
    Away,
}

/// The whole centre; the same for the same seed.
pub fn centre(seed: u64, pace: &Pace) -> Result<Vec<AccountPlan>, BadId> {
    let mut first_name = 0;
    let mut accounts = Vec::new();
    for (name, people) in ACCOUNTS {
        accounts.push(account(seed, name, first_name, people, pace)?);
        first_name += people;
    }
    Ok(accounts)
}

fn account(seed: u64, name: &str, first: usize, people: usize, pace: &Pace) -> Result<AccountPlan, BadId> {
    let queues = QUEUES.iter().map(|terms| terms.plan(pace)).collect::<Result<Vec<_>, _>>()?;
    let reasons = REASONS.iter().map(ReasonTerms::plan).collect::<Result<Vec<_>, _>>()?;
    let agents = (0..people).map(|index| agent(seed, name, first + index, index, &queues));
    Ok(AccountPlan {
        id: AccountId::parse(name)?,
        agents: agents.collect::<Result<_, _>>()?,
        queues,
        reasons,
    })
}

fn agent(
    seed: u64,
    account: &str,
    name: usize,
    index: usize,
    queues: &[QueuePlan],
) -> Result<AgentPlan, BadId> {
    let extension = (FIRST_EXTENSION + index).to_string();
    let mut random = Random::of(seed, &[account, &extension, "plan"]);
    let shares: Vec<(f64, usize)> = queues.iter().enumerate().map(|(at, queue)| (queue.share, at)).collect();
    let home = random.weighted(&shares).copied().unwrap_or(0);
    let mut joins = vec![(queues[home].id.clone(), 1)];
    if random.chance(0.5) {
        let other = (home + 1 + random.below(queues.len() - 1)) % queues.len();
        joins.push((queues[other].id.clone(), 2));
    }
    let language = if random.chance(0.3) { "spanish" } else { "english" };
    let begins = match random.unit() {
        // Whoever tries the curl lines finds the first agent at work.
        _ if index == 0 => Begins::OnDuty,
        roll if roll < 0.80 => Begins::OnDuty,
        roll if roll < 0.89 => Begins::Paused,
        _ => Begins::Away,
    };
    Ok(AgentPlan {
        id: AgentId::parse(&extension)?,
        aor: format!("{extension}@{account}.example"),
        fields: json!({"name": names::name(name), "extension": extension, "tag_ids": [language]}),
        queues: joins,
        begins,
        dreamer: index != 0 && random.chance(DREAMERS),
        has_phone: index == 0 || random.chance(0.97),
    })
}

impl QueueTerms {
    fn plan(&self, pace: &Pace) -> Result<QueuePlan, BadId> {
        let settings = json!({
            "name": self.name,
            "agent_ring_timeout_sec": pace.setting_sec(self.ring_sec),
            "wrap_up_sec": pace.setting_sec(self.wrap_up_sec),
            "max_no_answer": self.misses,
            "reject_cooldown_sec": pace.setting_sec(5.0),
        });
        Ok(QueuePlan { id: QueueId::parse(self.id)?, share: self.share, settings })
    }
}

impl ReasonTerms {
    fn plan(&self) -> Result<ReasonPlan, BadId> {
        let fields = json!({
            "name": self.name,
            "allow_inbound": self.allow_inbound,
            "allow_outbound": true,
            "max_sec": (self.minutes * 90.0) as u64,
            "productive": self.productive,
        });
        Ok(ReasonPlan { id: ReasonId::parse(self.id)?, share: self.share, minutes: self.minutes, fields })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::{Begins, centre};
    use crate::demo::pace::Pace;

    #[test]
    fn two_hundred_agents_of_three_accounts_and_the_same_ones_for_the_same_seed() {
        let pace = Pace::new(1.0, Instant::now(), 0);
        let centre = |seed| super::centre(seed, &pace).unwrap();
        let sizes: Vec<usize> = centre(1).iter().map(|account| account.agents.len()).collect();
        assert_eq!(sizes, [120, 60, 20]);
        let shape = |seed| -> Vec<_> {
            let plans = centre(seed);
            plans.iter().flat_map(|plan| plan.agents.iter().map(|a| (a.begins, a.queues.clone()))).collect()
        };
        assert_eq!(shape(1), shape(1));
        assert_ne!(shape(1), shape(2));
    }

    #[test]
    fn most_are_at_work_when_the_doors_open_and_1001_is() {
        let accounts = centre(1, &Pace::new(1.0, Instant::now(), 0)).unwrap();
        for account in &accounts {
            let begins = |begins| account.agents.iter().filter(|agent| agent.begins == begins).count();
            assert!(begins(Begins::OnDuty) * 10 > account.agents.len() * 6, "{}", account.id);
            assert_eq!((account.agents[0].id.as_str(), account.agents[0].begins), ("1001", Begins::OnDuty));
        }
    }
}
