//! The world of one run: time, chance, what is on its way, and who is alive.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use engine::perform::perform;
use engine::reconciler::{Action, Effect, Input, Outcome, Token};
use engine::store::{Accepted, IdempotencyKey, NewApplication, Store, StoreError};
use futures::FutureExt;
use model::application::{Application, Wish};
use model::event::EventKind;
use model::id::{ApplicationId, ApplicationKind, BackendName, Shard, TenantName, UserName};
use model::label::Labels;
use model::principal::Owner;
use model::spark_conf::SparkConf;
use model::spec::{ApplicationSpec, Limits};
use model::time::Timestamp;
use store::memory::MemoryStore;

use super::backend::{Drivers, SimBackend};
use super::gateway::Gateway;
use super::laws::Laws;
use super::scenario::{Wanted, What};
use super::{Fault, Faults, Run, Sabotage};
use crate::chance::Chance;

/// How long a run may take by its own clock.
const LIMIT: Duration = Duration::from_secs(1_200);
/// How long to go on after everything came to rest, so that what was delayed arrives.
const CALM: Duration = Duration::from_secs(150);
/// How late a delayed effect is.
const DELAY: Duration = Duration::from_secs(75);
/// When random faults cease, so that what they broke can heal.
const FAULTS_END: Timestamp = Timestamp::from_millis(1_000 + 300_000);

/// What a run showed.
#[derive(Debug)]
pub struct Report {
    /// The run.
    pub run: Run,
    /// How many effects were wanted.
    pub effects: u32,
    /// The first law that was broken.
    pub broken_law: Option<String>,
    /// What happened, a line each.
    pub trace: Vec<String>,
}

/// Something on its way.
#[derive(Debug)]
enum Happening {
    Act(What),
    Call { call: Call, tries: usize },
    Perform { gateway: usize, life: u64, effect: Effect, answer: bool },
    Deliver { gateway: usize, life: u64, input: Input },
    Tick { gateway: usize, life: u64 },
    Restart { gateway: usize },
}

/// What a client wants of a gateway; it calls until it is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Call {
    Create(usize),
    Wish(usize, Wish),
}

/// What a client knows of the application it created.
#[derive(Clone, Debug, Default)]
pub(super) struct Client {
    pub(super) id: Option<ApplicationId>,
    pub(super) wished: Option<Wish>,
}

pub(super) struct World {
    pub(super) run: Run,
    pub(super) now: Timestamp,
    chance: Chance,
    on_its_way: BinaryHeap<Reverse<(Timestamp, u64, u64)>>,
    happenings: BTreeMap<u64, Happening>,
    sequence: u64,
    pub(super) store: MemoryStore,
    pub(super) drivers: Arc<Mutex<Drivers>>,
    pub(super) shard: Shard,
    gateways: Vec<Gateway>,
    pub(super) clients: Vec<Client>,
    unanswered: usize,
    effects: u32,
    newest_epoch: u64,
    /// The effects that were launches.
    launches: BTreeSet<(usize, u64, Token)>,
    laws: Laws,
    /// Lines are written only for those who want to read them.
    trace: Option<Vec<String>>,
}

impl World {
    pub(super) fn new(run: Run, traced: bool) -> Self {
        #[allow(clippy::unwrap_used, reason = "a constant that is spelled right")]
        let shard = Shard::new("simulated").unwrap();
        let decide = run.sabotage.decide();
        let gateways =
            (0..run.scenario.gateways).map(|i| Gateway::new(i, &shard, run.scenario.places, decide)).collect();
        let mut world = Self {
            run,
            now: Timestamp::from_millis(1_000),
            chance: Chance(run.seed),
            on_its_way: BinaryHeap::new(),
            happenings: BTreeMap::new(),
            sequence: 0,
            store: MemoryStore::new(),
            drivers: Arc::new(Mutex::new(Drivers::new(run.scenario.applications))),
            shard,
            gateways,
            clients: vec![Client::default(); run.scenario.applications.len()],
            unanswered: 0,
            effects: 0,
            newest_epoch: 0,
            launches: BTreeSet::new(),
            laws: Laws::default(),
            trace: traced.then(Vec::new),
        };
        for gateway in 0..run.scenario.gateways {
            // The first gateway gets the lease, so that freezing it means something.
            world.later(gateway as u64 * 5, Happening::Restart { gateway });
        }
        for act in run.scenario.acts {
            world.later(100 + act.at_ms.unsigned_abs(), Happening::Act(act.what));
        }
        world
    }

    pub(super) fn run(mut self) -> Report {
        let end = self.now.after(LIMIT);
        let mut calm_since = None;
        let broken_law = loop {
            if let Some(broken) = self.broken_law() {
                break Some(broken);
            }
            calm_since = if self.is_at_rest() { calm_since.or(Some(self.now)) } else { None };
            if calm_since.is_some_and(|since: Timestamp| since.after(CALM) <= self.now) {
                break Laws::check_rest(&self);
            }
            let Some(next) = self.next_instant().filter(|at| *at <= end) else {
                break Some(format!("it never came to rest: {}", self.unsettled()));
            };
            self.step(next);
        };
        Report { run: self.run, effects: self.effects, broken_law, trace: self.trace.unwrap_or_default() }
    }

    fn broken_law(&mut self) -> Option<String> {
        let broken = self.lock_drivers().broken_law.clone();
        let store = self.store.clone();
        let places = self.run.scenario.places;
        let shard = self.shard.clone();
        broken.or_else(|| self.laws.check_step(&store, &shard, places))
    }

    fn next_instant(&self) -> Option<Timestamp> {
        let first = self.on_its_way.peek().map(|Reverse((at, ..))| *at);
        [first, self.lock_drivers().next_end()].into_iter().flatten().min()
    }

    fn step(&mut self, now: Timestamp) {
        self.now = now;
        let ended = {
            let mut drivers = self.lock_drivers();
            drivers.now = now;
            drivers.end_due()
        };
        for ((gateway, life), attempt, observation) in ended {
            self.note(|| format!("driver {attempt} ended: {observation:?}"));
            self.tell(gateway, life, Input::Observed(attempt, observation));
        }
        let due = self.on_its_way.peek().is_some_and(|Reverse((at, ..))| *at <= now);
        if due
            && let Some(Reverse((_, _, sequence))) = self.on_its_way.pop()
            && let Some(happening) = self.happenings.remove(&sequence)
        {
            self.happen(happening);
        }
        self.spread_hints();
    }

    fn happen(&mut self, happening: Happening) {
        match happening {
            Happening::Act(what) => self.act(what),
            Happening::Call { call, tries } => self.call(call, tries),
            Happening::Perform { gateway, life, effect, answer } => self.perform(gateway, life, effect, answer),
            Happening::Deliver { gateway, life, input } => self.deliver(gateway, life, input),
            Happening::Tick { gateway, life } => self.deliver(gateway, life, Input::Tick),
            Happening::Restart { gateway } => {
                self.note(|| format!("gateway {gateway} starts"));
                self.gateways[gateway].start();
                let life = self.gateways[gateway].life;
                self.deliver(gateway, life, Input::Tick);
            }
        }
    }

    fn act(&mut self, what: What) {
        self.note(|| format!("{what:?}"));
        match what {
            What::Create(index) => self.first_call(Call::Create(index)),
            What::Cancel(index) => self.first_call(Call::Wish(index, Wish::Cancel)),
            What::Delete(index) => self.first_call(Call::Wish(index, Wish::Delete)),
            What::CancelAndDelete(index) => {
                self.first_call(Call::Wish(index, Wish::Cancel));
                self.first_call(Call::Wish(index, Wish::Delete));
            }
            What::Pause { gateway, for_ms } => {
                let now = self.now;
                self.gateways[gateway].freeze(now, for_ms);
            }
            What::Crash { gateway } => self.crash(gateway),
        }
    }

    fn first_call(&mut self, call: Call) {
        self.unanswered += 1;
        self.later(0, Happening::Call { call, tries: 0 });
    }

    fn crash(&mut self, gateway: usize) {
        if self.gateways[gateway].is_alive() {
            self.note(|| format!("gateway {gateway} dies"));
            self.gateways[gateway].crash();
            self.later(700, Happening::Restart { gateway });
        }
    }

    /// A client calls a gateway; the call is one effect.
    fn call(&mut self, call: Call, tries: usize) {
        let (Call::Create(index) | Call::Wish(index, _)) = call;
        let gateway = (index + tries) % self.gateways.len();
        let again = Happening::Call { call, tries: tries + 1 };
        if !self.gateways[gateway].is_alive() || self.frozen(gateway).is_some() {
            return self.later(500, again);
        }
        let fault = self.next_fault();
        self.note(|| format!("{call:?} at gateway {gateway}{}", describe(fault)));
        match fault {
            None => self.answer(gateway, call),
            Some(Fault::Repeated) => {
                self.unanswered += 1;
                self.later(2_000, again);
                self.answer(gateway, call);
            }
            Some(Fault::CrashBefore) => {
                self.crash(gateway);
                self.later(1_000, again);
            }
            Some(Fault::CrashAfter) => {
                let _ = self.do_call(call);
                self.crash(gateway);
                self.later(1_000, again);
            }
            Some(Fault::LostAnswer) => {
                let _ = self.do_call(call);
                self.later(1_000, again);
            }
            Some(Fault::Delayed) => {
                self.unanswered += 1;
                self.later(75_000, Happening::Call { call, tries });
                self.later(1_000, again);
            }
            Some(Fault::LostOnTheWay | Fault::Refused) => self.later(1_000, again),
        }
    }

    fn answer(&mut self, gateway: usize, call: Call) {
        match self.do_call(call) {
            Ok(application) => {
                self.unanswered -= 1;
                if let Some(application) = application {
                    let life = self.gateways[gateway].life;
                    self.tell(gateway, life, Input::Changed(Box::new(application)));
                }
            }
            // The application was created and deleted since; the client that still waits is told so.
            Err(StoreError::KeySpent(_)) => self.unanswered -= 1,
            Err(error) => {
                self.note(|| format!("{call:?} failed: {error}"));
                self.later(1_000, Happening::Call { call, tries: gateway + 1 });
            }
        }
    }

    fn do_call(&mut self, call: Call) -> Result<Option<Application>, StoreError> {
        match call {
            Call::Create(index) => {
                let accepted = now(self.store.accept(self.new_application(index)))?;
                let (Accepted::Created(application) | Accepted::Replayed(application)) = accepted;
                self.clients[index].id = Some(application.id);
                Ok(Some(application))
            }
            Call::Wish(index, wish) => {
                // A client can only name what it was told of.
                let Some(id) = self.clients[index].id else {
                    return Err(StoreError::Corrupt("the application isn't known yet".into()));
                };
                let application = now(self.store.wish(id, wish, self.now))?;
                self.clients[index].wished = self.clients[index].wished.max(Some(wish));
                Ok(application)
            }
        }
    }

    fn new_application(&self, index: usize) -> NewApplication {
        let wanted = &self.run.scenario.applications[index];
        #[allow(clippy::unwrap_used, reason = "constants that are spelled right")]
        let owner = Owner { user: UserName::new("ann").unwrap(), tenant: TenantName::new("default").unwrap() };
        #[allow(clippy::unwrap_used, reason = "a constant that is spelled right")]
        let backend = BackendName::new("simulated").unwrap();
        NewApplication {
            kind: ApplicationKind::Batch,
            spec: Arc::new(spec(index, wanted)),
            owner,
            retry_of: None,
            backend,
            shard: self.shard.clone(),
            at: self.now,
            idempotency: Some(IdempotencyKey { key: format!("key-{index}"), fingerprint: [0; 32] }),
            queue_max: None,
            tenant_max: None,
            audit: None,
        }
    }

    fn deliver(&mut self, gateway: usize, life: u64, input: Input) {
        if !self.gateways[gateway].is_alive() || self.gateways[gateway].life != life {
            return;
        }
        if let Some(until) = self.frozen(gateway) {
            let wait = u64::try_from(until.since(self.now).as_millis()).unwrap_or(0) + 1;
            return self.later(wait, Happening::Deliver { gateway, life, input });
        }
        let input = self.run.sabotage.mishear(input, |token| self.launches.contains(&(gateway, life, token)));
        if input != Input::Tick {
            self.note(|| format!("gateway {gateway} hears {}", brief(&input)));
        }
        let now = self.now;
        let effects = self.gateways[gateway].handle(input, now);
        for effect in effects {
            self.send(gateway, life, effect);
        }
        if let Some(at) = self.gateways[gateway].next_wakeup() {
            let wait = u64::try_from(at.since(self.now).as_millis()).unwrap_or(0);
            self.later(wait.max(1), Happening::Tick { gateway, life });
        }
    }

    /// An effect leaves a gateway, and perhaps goes wrong.
    fn send(&mut self, gateway: usize, life: u64, effect: Effect) {
        let number = self.effects;
        if matches!(effect.action, Action::Launch(_)) {
            self.launches.insert((gateway, life, effect.token));
        }
        let fault = self.next_fault();
        self.note(|| {
            format!("gateway {gateway} wants #{number} {}{}", describe_action(&effect.action), describe(fault))
        });
        let latency = self.chance.between(1, 5);
        let perform = |effect: Effect, answer| Happening::Perform { gateway, life, effect, answer };
        match fault {
            None => self.later(latency, perform(effect, true)),
            Some(Fault::CrashBefore) => self.crash(gateway),
            Some(Fault::CrashAfter) => {
                self.perform(gateway, life, effect, false);
                self.crash(gateway);
            }
            Some(Fault::Repeated) => {
                self.later(2_000 + latency, perform(effect.clone(), false));
                self.later(latency, perform(effect, true));
            }
            Some(Fault::LostOnTheWay) => {}
            Some(Fault::LostAnswer) => self.later(latency, perform(effect, false)),
            Some(Fault::Delayed) => self.later(u64::try_from(DELAY.as_millis()).unwrap_or(0), perform(effect, true)),
            Some(Fault::Refused) => {
                let input = Input::Done(effect.token, Outcome::Failed("refused".into()));
                self.later(latency, Happening::Deliver { gateway, life, input });
            }
        }
    }

    fn perform(&mut self, gateway: usize, life: u64, effect: Effect, answer: bool) {
        let alive = self.gateways[gateway].is_alive() && self.gateways[gateway].life == life;
        // What a dead gateway had sent may or may not have left the machine.
        if !alive && answer && self.chance.between(0, 1) == 0 {
            return;
        }
        let action = self.sabotaged(effect.action);
        let backend =
            SimBackend::new(Arc::clone(&self.drivers), self.store.clone(), (gateway, life), self.shard.clone());
        let outcome = perform(action, &self.shard, &self.store, &backend).now_or_never();
        let outcome = outcome.unwrap_or_else(|| Outcome::Failed("the store or backend waited".into()));
        if let Outcome::Leased(Some(lease)) = &outcome {
            self.newest_epoch = self.newest_epoch.max(lease.fence.epoch);
        }
        if answer {
            let latency = self.chance.between(1, 5);
            self.later(latency, Happening::Deliver { gateway, life, input: Input::Done(effect.token, outcome) });
        }
    }

    fn sabotaged(&self, action: Action) -> Action {
        match action {
            Action::Save(mut fence, save) if self.run.sabotage == Sabotage::SkipFence => {
                fence.epoch = self.newest_epoch;
                Action::Save(fence, save)
            }
            action => action,
        }
    }

    /// Tells every gateway of what others may have done.
    fn spread_hints(&mut self) {
        let news = self.laws.take_news();
        if self.gateways.len() < 2 {
            return;
        }
        for event in news.iter().filter(|event| matches!(event.kind, EventKind::Accepted | EventKind::Wish(_))) {
            for gateway in 0..self.gateways.len() {
                let life = self.gateways[gateway].life;
                self.tell(gateway, life, Input::Hint(event.application));
            }
        }
    }

    /// News leaves for a gateway, and perhaps goes wrong: it is never asked for again.
    fn tell(&mut self, gateway: usize, life: u64, input: Input) {
        let fault = self.next_fault();
        let news = Happening::Deliver { gateway, life, input: input.clone() };
        let latency = self.chance.between(1, 5);
        match fault {
            None => self.later(latency, news),
            Some(fault) => self.note(|| format!("news for gateway {gateway} ({}): {}", fault.as_str(), brief(&input))),
        }
        match fault {
            None | Some(Fault::LostOnTheWay | Fault::LostAnswer | Fault::Refused) => {}
            Some(Fault::CrashBefore | Fault::CrashAfter) => self.crash(gateway),
            Some(Fault::Delayed) => {
                let news = Happening::Deliver { gateway, life, input };
                self.later(u64::try_from(DELAY.as_millis()).unwrap_or(0), news);
            }
            Some(Fault::Repeated) => {
                self.later(latency, Happening::Deliver { gateway, life, input: input.clone() });
                self.later(2_000 + latency, Happening::Deliver { gateway, life, input });
            }
        }
    }

    fn next_fault(&mut self) -> Option<Fault> {
        let number = self.effects;
        self.effects += 1;
        match self.run.faults {
            Faults::None => None,
            Faults::One { effect, fault } => (effect == number).then_some(fault),
            Faults::Random { permille } => {
                let hit = self.now < FAULTS_END && self.chance.between(0, 999) < u64::from(permille);
                let which = usize::try_from(self.chance.between(0, Fault::ALL.len() as u64 - 1)).unwrap_or(0);
                hit.then(|| Fault::ALL[which])
            }
        }
    }

    fn frozen(&self, gateway: usize) -> Option<Timestamp> {
        self.gateways[gateway].frozen_until.filter(|until| *until > self.now)
    }

    fn is_at_rest(&self) -> bool {
        let acts_left = self.happenings.values().any(|it| matches!(it, Happening::Act(_)));
        !acts_left && self.unanswered == 0 && self.unsettled().is_empty()
    }

    /// What hasn't come to its end, for a person.
    fn unsettled(&self) -> String {
        let mut parts: Vec<String> = Vec::new();
        for id in self.clients.iter().filter_map(|client| client.id) {
            if let Ok(Some(application)) = now(self.store.get(id))
                && (!application.state.is_terminal() || application.wish == Wish::Delete)
            {
                parts.push(format!("{id} is {} (wish {})", application.state, application.wish.as_str()));
            }
        }
        parts.extend(self.lock_drivers().running().map(|driver| format!("a driver of {} runs", driver.application)));
        parts.join(", ")
    }

    pub(super) fn lock_drivers(&self) -> std::sync::MutexGuard<'_, Drivers> {
        self.drivers.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    fn later(&mut self, wait_ms: u64, happening: Happening) {
        let at = self.now.after(Duration::from_millis(wait_ms));
        let order = self.chance.next();
        self.sequence += 1;
        self.on_its_way.push(Reverse((at, order, self.sequence)));
        self.happenings.insert(self.sequence, happening);
    }

    fn note(&mut self, line: impl FnOnce() -> String) {
        let at = self.now.as_millis() - 1_000;
        if let Some(trace) = self.trace.as_mut().filter(|trace| trace.len() < 20_000) {
            trace.push(format!("{at:>8} ms  {}", line()));
        }
    }
}

/// The answer of a store that never waits.
pub(super) fn now<T>(answer: impl Future<Output = Result<T, StoreError>>) -> Result<T, StoreError> {
    answer.now_or_never().unwrap_or_else(|| Err(StoreError::Corrupt("the store waited".into())))
}

fn spec(index: usize, wanted: &Wanted) -> ApplicationSpec {
    ApplicationSpec {
        name: Some(format!("application-{index}")),
        resource: "/simulated.py".into(),
        class_name: None,
        args: vec![index.to_string()],
        conf: SparkConf::default(),
        proxy_user: None,
        spark: None,
        labels: Labels::default(),
        external_id: None,
        limits: Limits {
            max_attempts: wanted.max_attempts,
            run_timeout: wanted.run_timeout_ms.map(Duration::from_millis),
            queue_timeout: wanted.queue_timeout_ms.map(Duration::from_millis),
        },
    }
}

fn describe(fault: Option<Fault>) -> String {
    fault.map(|fault| format!(" ({})", fault.as_str())).unwrap_or_default()
}

fn describe_action(action: &Action) -> String {
    match action {
        Action::Save(fence, save) => {
            format!("save {} as {} v{} in epoch {}", save.next.id, save.next.state, save.next.version, fence.epoch)
        }
        Action::Launch(order) => format!("launch {} attempt {}", order.attempt.application, order.attempt.id),
        action => format!("{action:?}"),
    }
}

fn brief(input: &Input) -> String {
    match input {
        Input::Changed(application) => format!("{} is {} v{}", application.id, application.state, application.version),
        Input::Done(token, Outcome::Loaded(applications)) => format!("#{}: loaded {}", token.0, applications.len()),
        Input::Done(token, Outcome::LoadedOne(one)) => {
            format!("#{}: loaded {:?}", token.0, one.as_ref().map(|it| it.version))
        }
        input => format!("{input:?}"),
    }
}
