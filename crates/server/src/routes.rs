//! The route table: what there is, and what one must hold to use it.

mod agents;
mod calls;
mod condition;
mod event;
mod feeds;
mod keys;
mod line;
mod offers;
mod ops;
mod page;
mod presence;
mod queues;
mod reasons;
mod reserve;
mod tickets;
mod wallboard;
mod written;

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::http::{Response, StatusCode};
use axum::routing::{MethodFilter, any, on};

pub(crate) use condition::Turns;
pub(crate) use event::{QueueBody, agent_event, choices};
pub(crate) use feeds::CallBody;
pub(crate) use presence::Filter;

use crate::auth::Scope;
use crate::call::{Answer, Call};
use crate::gate::{self, Answered, BodyMax, Dialect, Gate, request_id};
use crate::problem::Problem;
use crate::rate::RateClass;
use crate::sipio;
use crate::state::App;

/// Every path of the server.
pub(crate) fn router(app: &Arc<App>) -> Router {
    let routes = Routes { app: Arc::clone(app), router: Router::new() };
    routes.directory().live().routing().feeding().administration().sip_io().open().finish()
}

struct Routes {
    app: Arc<App>,
    router: Router,
}

impl Gate {
    const fn new(method: &'static str, path: &'static str, scopes: &'static [Scope]) -> Self {
        Self {
            method,
            path,
            scopes,
            query: &[],
            rate: RateClass::Route,
            body: BodyMax::Usual,
            dialect: Dialect::Native,
        }
    }

    /// Draws on the quota of routers and registrars.
    const fn by_router(method: &'static str, path: &'static str) -> Self {
        Self { rate: RateClass::Router, ..Self::new(method, path, &[Scope::Router]) }
    }

    const fn by_registrar(method: &'static str, path: &'static str, body: BodyMax) -> Self {
        Self { rate: RateClass::Router, body, ..Self::new(method, path, &[Scope::Registrar]) }
    }

    const fn sip_io(method: &'static str, path: &'static str, scopes: &'static [Scope]) -> Self {
        Self { dialect: Dialect::SipIo, ..Self::new(method, path, scopes) }
    }

    /// Takes these parameters in its query.
    const fn asked(self, query: &'static [&'static str]) -> Self {
        Self { query, ..self }
    }

    fn filter(&self) -> MethodFilter {
        match self.method {
            "GET" => MethodFilter::GET,
            "PUT" => MethodFilter::PUT,
            "DELETE" => MethodFilter::DELETE,
            _ => MethodFilter::POST,
        }
    }
}

const READ_AGENTS: &[Scope] = &[Scope::AgentsRead, Scope::AgentsManage];
const READ_QUEUES: &[Scope] = &[Scope::QueuesRead, Scope::QueuesManage];
const READ_PRESENCE: &[Scope] = &[Scope::PresenceRead, Scope::PresenceSupervise];
const WRITE_PRESENCE: &[Scope] = &[Scope::PresenceWrite, Scope::PresenceSupervise];
/// A router asks why nobody could be offered.
const EXPLAIN: &[Scope] = &[Scope::PresenceRead, Scope::PresenceSupervise, Scope::Router];
const ADMIN: &[Scope] = &[Scope::Admin];

/// Of a read: it waits until the account has come so far.
const READ: &[&str] = &["after_seq"];
const LIST: &[&str] = &["limit", "cursor", "count", "after_seq"];
const ROSTER: &[&str] =
    &["bucket", "tile", "status", "queue_id", "tag_id", "limit", "cursor", "count", "after_seq"];
const AGENTS: &[&str] =
    &["bucket", "tile", "status", "queue_id", "tag_id", "include", "limit", "cursor", "count", "after_seq"];

impl Routes {
    fn directory(self) -> Self {
        let (agent, queue) = ("/v1/agents/{agent_id}", "/v1/queues/{queue_id}");
        let reason = "/v1/pause-reasons/{reason_id}";
        self.on(Gate::new("GET", "/v1/agents", READ_AGENTS).asked(AGENTS), agents::list)
            .on(Gate::new("GET", agent, READ_AGENTS).asked(READ), agents::get)
            .on(Gate::new("PUT", agent, &[Scope::AgentsManage]), agents::put)
            .on(Gate::new("DELETE", agent, &[Scope::AgentsManage]), agents::remove)
            .on(Gate::new("GET", "/v1/queues", READ_QUEUES).asked(LIST), queues::list)
            .on(Gate::new("GET", queue, READ_QUEUES).asked(READ), queues::get)
            .on(Gate::new("PUT", queue, &[Scope::QueuesManage]), queues::put)
            .on(Gate::new("DELETE", queue, &[Scope::QueuesManage]), queues::remove)
            .on(Gate::new("GET", "/v1/pause-reasons", READ_QUEUES).asked(LIST), reasons::list)
            .on(Gate::new("GET", reason, READ_QUEUES).asked(READ), reasons::get)
            .on(Gate::new("PUT", reason, &[Scope::QueuesManage]), reasons::put)
            .on(Gate::new("DELETE", reason, &[Scope::QueuesManage]), reasons::remove)
            .on(Gate::new("GET", "/v1/settings", READ_AGENTS).asked(READ), reasons::settings)
            .on(Gate::new("PUT", "/v1/settings", &[Scope::AgentsManage]), reasons::put_settings)
    }

    fn live(self) -> Self {
        self.on(Gate::new("POST", "/v1/agents/{agent_id}/events", WRITE_PRESENCE), event::post)
            .on(
                Gate::new("GET", "/v1/agents/{agent_id}/presence", READ_PRESENCE).asked(READ),
                presence::of_agent,
            )
            .on(
                Gate::new("GET", "/v1/agents/{agent_id}/eligibility", EXPLAIN)
                    .asked(&["queue_id", "after_seq"]),
                presence::eligibility,
            )
            .on(Gate::new("GET", "/v1/presence", READ_PRESENCE).asked(ROSTER), presence::roster)
    }

    fn routing(self) -> Self {
        let offer = |verb| Gate::by_router("POST", verb);
        self.on(Gate::by_router("POST", "/v1/queues/{queue_id}/reserve"), reserve::of_queue)
            .on(Gate::by_router("POST", "/v1/agents/{agent_id}/reserve"), reserve::of_agent)
            .on(Gate::by_router("GET", "/v1/offers/{offer_id}").asked(READ), offers::get)
            .on(offer("/v1/offers/{offer_id}/ringing"), offers::ringing)
            .on(offer("/v1/offers/{offer_id}/answer"), offers::answer)
            .on(offer("/v1/offers/{offer_id}/reject"), offers::reject)
            .on(offer("/v1/offers/{offer_id}/busy"), offers::busy)
            .on(offer("/v1/offers/{offer_id}/no-answer"), offers::no_answer)
            .on(offer("/v1/offers/{offer_id}/failed"), offers::failed)
            .on(offer("/v1/offers/{offer_id}/cancel"), offers::cancel)
            .on(offer("/v1/offers/{offer_id}/extend"), offers::extend)
            .on(Gate::by_router("POST", "/v1/calls/{call_id}/end"), calls::end)
            .on(Gate::by_router("POST", "/v1/queues/{queue_id}/calls"), line::enqueue)
            .on(Gate::by_router("DELETE", "/v1/queues/{queue_id}/calls/{call_id}"), line::dequeue)
            .on(Gate::by_router("POST", "/v1/queues/{queue_id}/calls/{call_id}/requeue"), line::requeue)
    }

    fn feeding(self) -> Self {
        let registrar = |method, path, body| Gate::by_registrar(method, path, body);
        self.on(registrar("POST", "/v1/registrar/events", BodyMax::Feed), feeds::events)
            .on(registrar("PUT", "/v1/registrar/snapshot", BodyMax::Snapshot), feeds::snapshot)
            .on(registrar("POST", "/v1/calls/events", BodyMax::Feed), feeds::calls)
    }

    fn administration(self) -> Self {
        let tickets =
            Gate { rate: RateClass::Tickets, ..Gate::new("POST", "/v1/tickets", &[Scope::Wallboard]) };
        self.on(tickets, tickets::mint)
            .on(Gate::new("GET", "/v1/whoami", &[]), keys::whoami)
            .on(Gate::new("GET", "/v1/keys", ADMIN).asked(&["limit", "cursor", "count"]), keys::list)
            .on(Gate::new("POST", "/v1/keys", ADMIN), keys::create)
            .on(Gate::new("DELETE", "/v1/keys/{key_id}", ADMIN), keys::remove)
    }

    fn sip_io(self) -> Self {
        const SIP_IO_ROSTER: &[&str] = &["accountId", "bucket", "tile", "status", "queue_id", "tag_id"];
        const EVENTS: &[Scope] = &[Scope::PresenceWrite, Scope::PresenceSupervise, Scope::Registrar];
        self.on(Gate::sip_io("POST", "/agent", WRITE_PRESENCE), sipio::agent::post)
            .on(
                Gate::sip_io("GET", "/agent", READ_PRESENCE).asked(&["accountId", "userId"]),
                sipio::agent::get,
            )
            .on(Gate::sip_io("GET", "/presence", READ_PRESENCE).asked(SIP_IO_ROSTER), sipio::presence::get)
            .on(Gate::sip_io("POST", "/presence/event", EVENTS), sipio::event::post)
    }

    /// Routes that decide for themselves whom they answer.
    fn open(self) -> Self {
        self.free("/livez", |_, _| async { ops::livez() })
            .free("/readyz", |app, request| async move { ops::readyz(&app, &request) })
            .free("/version", |app, request| async move { ops::version(&app, &request) })
            .free("/metrics", |app, request| async move { ops::metrics(&app, &request) })
            .free("/", |_, _| async { ops::index() })
            .free("/wallboard", |_, request| async move { wallboard::file("index.html", &request) })
            .free("/wallboard/", |_, request| async move { wallboard::file("index.html", &request) })
            .free("/wallboard/{file}", |app, request| async move { wallboard::named(&app, &request) })
            .free("/wallboard/ws", ops::stream)
            .free("/v1/stream", ops::stream)
    }

    fn on<F, Fut>(mut self, gate: Gate, handler: F) -> Self
    where
        F: FnOnce(Call) -> Fut + Copy + Send + Sync + 'static,
        Fut: Future<Output = Answer> + Send + 'static,
    {
        let app = Arc::clone(&self.app);
        let service = move |request: Request| gate::pass(Arc::clone(&app), gate, request, handler);
        self.router = self.router.route(gate.path, on(gate.filter(), service));
        self
    }

    fn free<F, Fut>(mut self, path: &'static str, handler: F) -> Self
    where
        F: FnOnce(Arc<App>, Request) -> Fut + Copy + Send + Sync + 'static,
        Fut: Future<Output = Response<Body>> + Send + 'static,
    {
        let app = Arc::clone(&self.app);
        let service = move |request: Request| {
            let answer = handler(Arc::clone(&app), request);
            async move {
                let mut response = answer.await;
                response.extensions_mut().insert(Answered(path));
                response
            }
        };
        self.router = self.router.route(path, on(MethodFilter::GET, service));
        self
    }

    fn finish(self) -> Router {
        let (unknown, wrong_method) = (Arc::clone(&self.app), self.app);
        let no_route = move |request: Request| async move {
            let problem =
                Problem::not_found("unknown_route", format!("there is nothing at {}", request.uri().path()))
                    .hint("GET / lists what there is");
            gate::refuse(&unknown, problem, &request_id(request.extensions()))
        };
        let no_method = move |request: Request| async move {
            let detail = format!("{} is not for this path; the header Allow says what is", request.method());
            let problem = Problem::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", detail);
            gate::refuse(&wrong_method, problem, &request_id(request.extensions()))
        };
        self.router.fallback_service(any(no_route)).method_not_allowed_fallback(no_method)
    }
}
