//! Which lines of the audit are a tenant's, and what of them: for the file that it takes along, and for
//! what goes when it is deleted.

use std::collections::HashSet;

use event::TenantId;
use serde_json::{Value, json};
use store::registry::AuditRow;

/// Halves of a line about a terminal that moved from one tenant to another.
const HALVES: [&str; 2] = ["before", "now"];

/// A tenant as the audit names it.
pub(super) struct Whose<'a> {
    pub(super) tenant: &'a TenantId,
    /// Numbers of its enrolments.
    pub(super) ids: HashSet<String>,
    /// Serials that no other tenant ever had.
    pub(super) serials: HashSet<String>,
}

impl Whose<'_> {
    /// What the line says of this tenant; `None` when it is another's. Of a terminal that moved from
    /// one tenant to another each gets its half.
    pub(super) fn share(&self, row: &AuditRow) -> Option<Value> {
        let mut detail: Value = serde_json::from_str(&row.detail).unwrap_or_else(|_| json!({}));
        if let Some(ours) = self.halves(&detail) {
            for (half, _) in HALVES.iter().zip(ours).filter(|(_, is_ours)| !is_ours) {
                detail[*half] = Value::Null;
            }
            return ours.contains(&true).then_some(detail);
        }
        let names_one = detail["device_id"].is_string() || detail["tenant"].is_string();
        let is_ours = match names_one {
            true => self.is_ours(&detail),
            false => row.subject == self.tenant.as_str() || self.serials.contains(&row.subject),
        };
        is_ours.then_some(detail)
    }

    /// The subject and the detail that are left of a line when what it says of this tenant goes;
    /// `None` when it says nothing of it, or no more than its name.
    pub(super) fn rest(&self, row: &AuditRow) -> Option<(String, String)> {
        self.share(row)?;
        let mut detail: Value = serde_json::from_str(&row.detail).unwrap_or_else(|_| json!({}));
        if let Some(ours) = self.halves(&detail).filter(|ours| ours.contains(&false)) {
            for (half, _) in HALVES.iter().zip(ours).filter(|(_, is_ours)| *is_ours) {
                detail[*half] = Value::Null;
            }
            return Some((row.subject.clone(), detail.to_string()));
        }
        let rest = (
            self.tenant.to_string(),
            json!({ "tenant": self.tenant, "emptied": true }).to_string(),
        );
        (rest != (row.subject.clone(), row.detail.clone())).then_some(rest)
    }

    /// Which half is this tenant's, where a line has two.
    fn halves(&self, detail: &Value) -> Option<[bool; 2]> {
        let has_both = HALVES.iter().all(|half| detail[*half].is_object());
        has_both.then(|| HALVES.map(|half| self.is_ours(&detail[half])))
    }

    fn is_ours(&self, value: &Value) -> bool {
        match value["device_id"].as_str() {
            Some(id) => self.ids.contains(id),
            None => value["tenant"].as_str() == Some(self.tenant.as_str()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use event::{DeviceId, Millis};

    fn line(subject: &str, detail: &Value) -> AuditRow {
        AuditRow {
            id: 1,
            happened_at: Millis(0),
            actor: "x".to_owned(),
            action: "x".to_owned(),
            subject: subject.to_owned(),
            detail: detail.to_string(),
        }
    }

    #[test]
    fn a_tenant_gets_its_own_lines_of_the_audit_and_nothing_of_another() {
        let acme = TenantId::new("acme").unwrap();
        let [ours, theirs] = [1, 2].map(|id| DeviceId([id; 16]).to_string());
        let of = Whose {
            tenant: &acme,
            ids: [ours.clone()].into(),
            serials: ["OWN".to_owned()].into(),
        };
        let share = |subject: &str, detail: Value| of.share(&line(subject, &detail));
        assert!(share("SOLD", json!({ "device_id": ours })).is_some());
        assert!(share("SOLD", json!({ "device_id": theirs })).is_none());
        assert!(share("SOLD", json!({ "command": "info" })).is_none());
        assert!(share("OWN", json!({ "command": "info" })).is_some());
        assert!(share("acme", json!({ "reason": null })).is_some());
        assert!(share("beta", json!({ "reason": null })).is_none());
        assert!(share("x", json!({ "tenant": "beta" })).is_none());
        let (before, now) = (
            json!({ "device_id": ours, "tenant": "acme" }),
            json!({ "device_id": theirs, "tenant": "beta", "name": "theirs" }),
        );
        let both = json!({ "before": before, "now": now });
        let moved = share("SOLD", both.clone()).unwrap();
        assert_eq!(moved, json!({ "before": before, "now": null }));

        // What is left when it goes: the other's half, or that there was a line.
        let rest = |subject: &str, detail: &Value| of.rest(&line(subject, detail));
        let (subject, detail) = rest("SOLD", &both).unwrap();
        let detail: Value = serde_json::from_str(&detail).unwrap();
        assert_eq!(
            (&*subject, &detail),
            ("SOLD", &json!({ "before": null, "now": now }))
        );
        let (subject, emptied) = rest("OWN", &json!({ "name": "gate" })).unwrap();
        assert!(subject == "acme" && !emptied.contains("gate"));
        let emptied: Value = serde_json::from_str(&emptied).unwrap();
        assert_eq!(rest("acme", &emptied), None);
        assert_eq!(rest("SOLD", &json!({ "device_id": theirs })), None);
    }
}
