//! Rate limits: a token bucket per account and route. What the headers say is what the buckets hold.

use std::collections::HashMap;
use std::sync::Arc;

use axum::http::{HeaderMap, HeaderName, HeaderValue};
use parking_lot::Mutex;
use ringfence::Time;

use crate::config::{Limits, Quota};

/// Buckets kept. A full bucket is as good as none, so full ones are dropped when there are this many.
const BUCKETS_MAX: usize = 64 * 1024;

/// Which quota a route draws on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum RateClass {
    /// One bucket per account and route.
    Route,
    /// One bucket per account for all that routers and registrars do: a person's clicks never take from it.
    Router,
    Tickets,
}

/// The buckets.
#[derive(Debug)]
pub(crate) struct RateLimits {
    requests: Quota,
    router: Quota,
    tickets: Quota,
    buckets: Mutex<HashMap<(Arc<str>, &'static str), Bucket>>,
}

/// A request costs as many drops as its window has milliseconds, and every millisecond as many flow in as the quota has
/// requests: nothing is rounded.
#[derive(Debug, Clone, Copy)]
struct Bucket {
    drops: u64,
    at: Time,
    quota: Quota,
}

/// What a bucket said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Verdict {
    pub allowed: bool,
    quota: Quota,
    policy: &'static str,
    remaining: u32,
    /// Until the whole quota is there again.
    full_in_sec: u32,
    /// Until the next request is.
    pub next_in_sec: u32,
}

impl RateLimits {
    pub fn new(limits: &Limits) -> Self {
        Self {
            requests: limits.requests,
            router: limits.router_requests,
            tickets: limits.tickets,
            buckets: Mutex::default(),
        }
    }

    /// Takes one request out of the bucket of `who` for `route`.
    pub fn take(&self, who: &Arc<str>, class: RateClass, route: &'static str, now: Time) -> Verdict {
        let (quota, policy, key) = match class {
            RateClass::Route => (self.requests, "route", route),
            RateClass::Router => (self.router, "router", "router"),
            RateClass::Tickets => (self.tickets, "tickets", route),
        };
        let mut buckets = self.buckets.lock();
        if buckets.len() >= BUCKETS_MAX {
            buckets.retain(|_, bucket| !bucket.at_time(now).is_full());
        }
        // So many accounts at once that their buckets do not fit: those without one share one.
        let who = if buckets.len() < BUCKETS_MAX { Arc::clone(who) } else { Arc::from("") };
        let bucket = buckets.entry((who, key)).or_insert_with(|| Bucket::full(quota, now));
        *bucket = bucket.at_time(now);
        let allowed = bucket.drops >= quota.cost();
        if allowed {
            bucket.drops -= quota.cost();
        }
        bucket.verdict(allowed, policy)
    }
}

impl Quota {
    fn cost(self) -> u64 {
        u64::from(self.window_sec.max(1)) * 1000
    }

    fn whole(self) -> u64 {
        u64::from(self.requests) * self.cost()
    }
}

impl Bucket {
    fn full(quota: Quota, at: Time) -> Self {
        Self { drops: quota.whole(), at, quota }
    }

    fn is_full(self) -> bool {
        self.drops >= self.quota.whole()
    }

    fn at_time(self, now: Time) -> Self {
        let inflow = now.since(self.at).saturating_mul(u64::from(self.quota.requests));
        let drops = self.drops.saturating_add(inflow).min(self.quota.whole());
        Self { drops, at: self.at.max(now), quota: self.quota }
    }

    fn verdict(self, allowed: bool, policy: &'static str) -> Verdict {
        let until = |drops: u64| {
            let ms = drops.saturating_sub(self.drops).div_ceil(u64::from(self.quota.requests.max(1)));
            u32::try_from(ms.div_ceil(1000)).unwrap_or(u32::MAX)
        };
        Verdict {
            allowed,
            quota: self.quota,
            policy,
            remaining: u32::try_from(self.drops / self.quota.cost()).unwrap_or(u32::MAX),
            full_in_sec: until(self.quota.whole()),
            next_in_sec: until(self.quota.cost()).max(1),
        }
    }
}

impl Verdict {
    /// `RateLimit` and `RateLimit-Policy` (draft-ietf-httpapi-ratelimit-headers), and the older `X-RateLimit-*`.
    pub fn write(&self, headers: &mut HeaderMap) {
        let Self { quota, policy, remaining, full_in_sec, .. } = *self;
        let texts = [
            ("ratelimit-policy", format!("\"{policy}\";q={};w={}", quota.requests, quota.window_sec)),
            ("ratelimit", format!("\"{policy}\";r={remaining};t={full_in_sec}")),
            ("x-ratelimit-limit", quota.requests.to_string()),
            ("x-ratelimit-remaining", remaining.to_string()),
            ("x-ratelimit-reset", full_in_sec.to_string()),
        ];
        for (name, text) in texts {
            if let Ok(value) = HeaderValue::try_from(text) {
                headers.insert(HeaderName::from_static(name), value);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits(requests: u32) -> RateLimits {
        let quota = Quota { requests, window_sec: 10 };
        RateLimits::new(&Limits { requests: quota, ..Limits::default() })
    }

    #[test]
    fn a_bucket_gives_what_it_said_remains_and_says_when_there_is_more() {
        let (limits, who) = (limits(5), Arc::from("acme"));
        let take = |ms| limits.take(&who, RateClass::Route, "/v1/x", Time::from_ms(ms));
        let left: Vec<_> = (0..5).map(|_| take(0).remaining).collect();
        assert_eq!(left, [4, 3, 2, 1, 0]);
        let refused = take(0);
        assert_eq!((refused.allowed, refused.next_in_sec, refused.full_in_sec), (false, 2, 10));
        assert!(!take(1_999).allowed);
        assert!(take(2_000).allowed);
        assert!(!take(2_000).allowed);
    }

    #[test]
    fn small_steps_lose_nothing_and_other_routes_and_accounts_have_their_own() {
        let (limits, who) = (limits(1), Arc::from("acme"));
        let take = |who: &Arc<str>, route, ms| limits.take(who, RateClass::Route, route, Time::from_ms(ms));
        assert!(take(&who, "/a", 0).allowed);
        for ms in 1..10_000 {
            assert!(!take(&who, "/a", ms).allowed, "{ms}");
        }
        assert!(take(&who, "/a", 10_000).allowed);
        assert!(take(&who, "/b", 10_000).allowed);
        assert!(take(&Arc::from("other"), "/a", 10_000).allowed);
    }

    #[test]
    fn headers_say_what_the_bucket_holds() {
        let mut headers = HeaderMap::new();
        limits(5).take(&Arc::from("acme"), RateClass::Route, "/a", Time::ZERO).write(&mut headers);
        assert_eq!(headers["ratelimit-policy"], "\"route\";q=5;w=10");
        assert_eq!(headers["ratelimit"], "\"route\";r=4;t=2");
        assert_eq!(headers["x-ratelimit-remaining"], "4");
    }
}
