//! What a deletion would take, what would still hold the tenant afterwards, and what stands against it.

use std::collections::BTreeMap;
use std::path::PathBuf;

use daemon::logging::Escaped;
use event::{DeviceId, TenantId};
use satellite::config::Unknown;
use satellite::evidence::hash_file;
use serde_json::json;
use store::departure::{self, Departed};
use store::{AnyEngine, Failure, Target, hold, lockdown};

use super::super::super::databases::{self, Place};
use super::super::super::{Context, hold as held, now, out, program};
use super::super::holders;
use super::super::proof::StoreRows;
use super::super::purge;
use super::super::words::Says;

/// The journal's file in the state folder.
pub(super) const JOURNAL: &str = "journal.db";
/// Serials that are named where many stand against it.
const NAMED: usize = 5;

/// What was found.
pub(super) struct Look {
    pub(super) tenant: TenantId,
    /// Every enrolment it ever had, with its serial.
    pub(super) devices: BTreeMap<DeviceId, String>,
    /// Serials that no other tenant ever had.
    pub(super) own_serials: Vec<String>,
    /// The databases that hold something.
    pub(super) stores: Vec<StoreRows>,
    /// Archives of retention that are as they were written, and recordings.
    pub(super) files: Vec<PathBuf>,
    /// Files that hold its data and that are somebody else's to remove.
    pub(super) left: Vec<PathBuf>,
    /// What has to be done first, in words.
    pub(super) against: Vec<String>,
}

impl Look {
    pub(super) async fn at(tenant: &TenantId, context: &Context) -> anyhow::Result<Self> {
        let place = databases::registry_place(context);
        let failed = |failure: Failure| databases::told(context, &place, &failure);
        let mut registry = databases::open(context, &place).await?;
        let mut look = Self {
            tenant: tenant.clone(),
            devices: BTreeMap::new(),
            own_serials: Vec::new(),
            stores: Vec::new(),
            files: Vec::new(),
            left: Vec::new(),
            against: Vec::new(),
        };
        let places = super::places(tenant, context);
        for place in &places {
            let mut engine = databases::open(context, place).await?;
            let devices = departure::devices(&mut engine, tenant).await;
            let devices = devices.map_err(|failure| databases::told(context, place, &failure))?;
            look.devices.extend(devices);
        }
        let departed = look.departed();
        for place in &places {
            look.count(&departed, place, context).await?;
        }
        let own = departure::own_serials(&mut registry, &departed.devices).await;
        look.own_serials = own.map_err(failed)?;
        let files = look.find_files(&departed, &mut registry).await;
        files.map_err(failed)?;
        look.find_against(&mut registry, context).await?;
        Ok(look)
    }

    fn departed(&self) -> Departed {
        Departed {
            tenant: self.tenant.clone(),
            devices: self.devices.keys().copied().collect(),
            before: now(),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.stores.is_empty()
    }

    async fn count(
        &mut self,
        departed: &Departed,
        place: &Place,
        context: &Context,
    ) -> anyhow::Result<()> {
        let mut engine = databases::open(context, place).await?;
        let before = departure::count(&mut engine, departed).await;
        let before = before.map_err(|failure| databases::told(context, place, &failure))?;
        if before.values().any(|rows| *rows > 0) {
            let engine = match &place.target {
                Target::Sqlite(_) => "sqlite",
                Target::Mysql { .. } => "mysql",
            };
            self.stores.push(StoreRows {
                store: place.label.clone(),
                engine: engine.to_owned(),
                before,
                after: departure::Counts::new(),
                bytes: String::new(),
            });
        }
        Ok(())
    }

    async fn find_files(
        &mut self,
        departed: &Departed,
        registry: &mut AnyEngine,
    ) -> Result<(), Failure> {
        for (file, hash) in purge::files(&self.tenant, "retention", registry).await? {
            let file = PathBuf::from(file);
            match hash_file(&file) {
                Ok(found) if found == hash => self.files.push(file),
                // What is there under that name is not what was written.
                _ => self.left.push(file),
            }
        }
        for said in departure::recordings(registry, departed).await? {
            let said: serde_json::Value = serde_json::from_str(&said).unwrap_or_default();
            self.files.extend(said["file"].as_str().map(PathBuf::from));
        }
        let exports = purge::files(&self.tenant, "tenant_export", registry).await?;
        self.left
            .extend(exports.into_iter().map(|(file, _)| PathBuf::from(file)));
        for files in [&mut self.files, &mut self.left] {
            files.retain(|file| file.exists());
            files.sort();
            files.dedup();
        }
        Ok(())
    }

    async fn find_against(
        &mut self,
        registry: &mut AnyEngine,
        context: &Context,
    ) -> anyhow::Result<()> {
        let place = databases::registry_place(context);
        let failed = |failure: Failure| databases::told(context, &place, &failure);
        let tenant = self.tenant.clone();
        if let Some(hold) = hold::of(registry, &tenant).await.map_err(failed)? {
            self.against.push(held::told(&hold, context));
        }
        let locked = lockdown::active(registry).await.map_err(failed)?;
        let holds = |one: &lockdown::Lockdown| one.tenant.as_ref().is_none_or(|it| *it == tenant);
        if locked.iter().any(holds) {
            self.against
                .push(context.say(Says::Locked, &[&tenant, &program()]));
        }
        let senders = departure::senders(registry, &tenant)
            .await
            .map_err(failed)?;
        if !senders.is_empty() {
            self.against.push(sends(&tenant, &senders, context));
        }
        let outputs = context.config.outputs.iter();
        let outputs = outputs.filter(|output| output.tenant == tenant);
        let outputs: Vec<&str> = outputs.map(|output| output.name.as_str()).collect();
        if !outputs.is_empty() {
            let names = outputs.join(", ");
            self.against
                .push(context.say(Says::Outputs, &[&tenant, &names]));
        }
        if context.config.unknown == Unknown::Accept(tenant.clone()) {
            self.against.push(context.say(Says::Accepts, &[&tenant]));
        }
        let waiting = self.in_journal(context).await?;
        if waiting > 0 {
            self.against
                .push(context.say(Says::InJournal, &[&tenant, &waiting]));
        }
        Ok(())
    }

    async fn in_journal(&self, context: &Context) -> anyhow::Result<u64> {
        let place = Place {
            label: JOURNAL.to_owned(),
            target: Target::Sqlite(context.config.state_dir.join(JOURNAL)),
        };
        if databases::is_missing(&place.target) {
            return Ok(0);
        }
        let count = async {
            let mut journal = place.target.connect().await?;
            let devices: Vec<DeviceId> = self.devices.keys().copied().collect();
            let rows = departure::in_journal(&mut journal, &devices).await;
            journal.close().await;
            rows
        };
        count
            .await
            .map_err(|failure| databases::told(context, &place, &failure))
    }

    /// Says all of it.
    pub(super) async fn tell(&self, as_json: bool, context: &Context) -> anyhow::Result<()> {
        let places = super::places(&self.tenant, context).into_iter();
        let is_here = |place: &Place| self.stores.iter().any(|it| it.store == place.label);
        let places: Vec<Place> = places.filter(is_here).collect();
        let holders = holders::all(&places, &self.left, context).await?;
        if as_json {
            return Ok(out::json(&json!({
                "tenant": self.tenant,
                "terminals": self.devices.len(),
                "stores": self.stores.iter().map(|it| {
                    json!({ "store": it.store, "engine": it.engine, "rows": it.before })
                }).collect::<Vec<_>>(),
                "files": self.files,
                "holders": holders,
                "against": self.against,
            }))?);
        }
        let rows: u64 = self.stores.iter().flat_map(|it| it.before.values()).sum();
        let devices = self.devices.len();
        out::line(&context.say(Says::WouldGo, &[&self.tenant, &rows, &devices]))?;
        for store in &self.stores {
            for (table, rows) in store.before.iter().filter(|(_, rows)| **rows > 0) {
                out::line(&context.say(Says::Table, &[&store.store, table, rows]))?;
            }
        }
        for file in &self.files {
            out::line(&context.say(Says::FileGoes, &[&file.display()]))?;
        }
        holders::tell(&holders, context)?;
        for text in &self.against {
            out::remark(text);
        }
        let (tenant, program) = (&self.tenant, program());
        let values: [&dyn std::fmt::Display; 5] = [&program, tenant, &program, tenant, tenant];
        Ok(out::line(&context.say(Says::NothingDone, &values))?)
    }
}

/// Which terminals could still send, and how to stop one.
pub(super) fn sends(tenant: &TenantId, senders: &[String], context: &Context) -> String {
    let named: Vec<String> = senders
        .iter()
        .take(NAMED)
        .map(|serial| Escaped(serial).to_string())
        .collect();
    let more = if senders.len() > NAMED { ", …" } else { "" };
    let named_all = format!("{}{more}", named.join(", "));
    let first = named.first().cloned().unwrap_or_default();
    let count = senders.len();
    let values: [&dyn std::fmt::Display; 5] = [tenant, &count, &named_all, &program(), &first];
    context.say(Says::Sends, &values)
}
