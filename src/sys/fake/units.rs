//! A systemd, and service scripts, that remember what they were told.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use async_trait::async_trait;

use crate::base::Timestamp;
use crate::sys::units::{JournalLine, Order, Scope, UnitError, UnitId, UnitState, Units};
use crate::sys::{ServiceManager, ServiceState, Services};

/// What happens when an order is given: may change units, or refuse.
pub type OnOrder = dyn Fn(&FakeUnits, Order, &UnitId) -> Result<(), UnitError> + Send + Sync;

#[derive(Default)]
struct State {
    absent: bool,
    units: BTreeMap<UnitId, UnitState>,
    journal: Vec<(UnitId, JournalLine)>,
    orders: Vec<(Order, UnitId)>,
    reloads: usize,
    on_order: Option<Arc<OnOrder>>,
}

/// A systemd in memory. Clones share it.
#[derive(Clone, Default)]
pub struct FakeUnits(Arc<Mutex<State>>);

impl FakeUnits {
    /// One without units.
    pub fn new() -> Self {
        Self::default()
    }

    /// A machine without systemd.
    pub fn absent() -> Self {
        let units = Self::default();
        units.state().absent = true;
        units
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().expect("no panic while systemd is held")
    }

    /// Puts a unit in, or replaces it.
    pub fn plant(&self, unit: UnitId, state: UnitState) {
        self.state().units.insert(unit, state);
    }

    /// Changes a unit.
    pub fn change(&self, unit: &UnitId, change: impl FnOnce(&mut UnitState)) {
        change(self.state().units.entry(unit.clone()).or_default());
    }

    /// Writes a line to the journal.
    pub fn log(&self, unit: &UnitId, line: JournalLine) {
        self.state().journal.push((unit.clone(), line));
    }

    /// What every order from now on does; without it, orders are remembered and succeed.
    pub fn on_order(
        &self,
        act: impl Fn(&FakeUnits, Order, &UnitId) -> Result<(), UnitError> + Send + Sync + 'static,
    ) {
        self.state().on_order = Some(Arc::new(act));
    }

    /// The orders that were given, the refused ones too.
    pub fn orders(&self) -> Vec<(Order, UnitId)> {
        self.state().orders.clone()
    }

    /// How often all units were read again.
    pub fn reloads(&self) -> usize {
        self.state().reloads
    }
}

#[async_trait]
impl Units for FakeUnits {
    fn present(&self, _: &Scope) -> bool {
        !self.state().absent
    }

    async fn show(&self, unit: &UnitId) -> Result<UnitState, UnitError> {
        let state = self.state();
        if state.absent {
            return Err(UnitError::Absent("/run/systemd/system".into()));
        }
        Ok(state.units.get(unit).cloned().unwrap_or_else(|| UnitState {
            id: unit.name.clone(),
            load: "not-found".to_owned(),
            ..UnitState::default()
        }))
    }

    async fn sockets(&self, scope: &Scope) -> Result<Vec<UnitState>, UnitError> {
        let state = self.state();
        let sockets = state
            .units
            .iter()
            .filter(|(id, _)| id.scope == *scope && id.name.ends_with(".socket"));
        Ok(sockets.map(|(_, unit)| unit.clone()).collect())
    }

    async fn reload(&self, _: &Scope) -> Result<(), UnitError> {
        let mut state = self.state();
        state.reloads += 1;
        for unit in state.units.values_mut() {
            unit.needs_reload = false;
        }
        Ok(())
    }

    async fn order(&self, order: Order, unit: &UnitId, _: Duration) -> Result<(), UnitError> {
        let act = {
            let mut state = self.state();
            state.orders.push((order, unit.clone()));
            state.on_order.clone()
        };
        act.map_or(Ok(()), |act| act(self, order, unit))
    }

    async fn journal(
        &self,
        unit: &UnitId,
        since: Timestamp,
        lines: u32,
    ) -> Result<Vec<JournalLine>, UnitError> {
        let state = self.state();
        let of_unit = state
            .journal
            .iter()
            .filter(|(id, line)| id == unit && line.at >= since);
        let all: Vec<JournalLine> = of_unit.map(|(_, line)| line.clone()).collect();
        let skipped = all
            .len()
            .saturating_sub(usize::try_from(lines).unwrap_or(usize::MAX));
        Ok(all[skipped..].to_vec())
    }
}

/// One service script, or none.
#[derive(Default)]
pub struct FakeServices {
    /// Who runs it; `None`: there is no script.
    pub manager: Option<ServiceManager>,
    /// What it says.
    pub state: Mutex<Option<ServiceState>>,
    /// How often it was restarted.
    pub restarts: Mutex<usize>,
    /// Why a restart fails.
    pub failure: Mutex<Option<String>>,
}

#[async_trait]
impl Services for FakeServices {
    fn manager(&self, _: &str) -> Option<ServiceManager> {
        self.manager
    }

    async fn state(&self, _: ServiceManager, _: &str) -> ServiceState {
        let state = self.state.lock().expect("no panic while it is held").clone();
        state.unwrap_or(ServiceState::Stopped)
    }

    async fn restart(&self, _: ServiceManager, _: &str, _: Duration) -> Result<(), String> {
        *self.restarts.lock().expect("no panic while it is held") += 1;
        let failure = self.failure.lock().expect("no panic while it is held").clone();
        failure.map_or(Ok(()), Err)
    }
}
