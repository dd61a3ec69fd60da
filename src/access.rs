//! Who sees which ticket and who may do what to it (部门隔离). The one place where this is decided: every list, search,
//! export and live stream asks here. Knows roles and departments; nothing of pages.

use crate::clock::Timestamp;
use crate::conversation::Act;
use crate::knowledge::Department;
use crate::staff::{Role, Staff};
use crate::ticket::{Departments, ForLead, Ticket};

/// What somebody sees.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sight {
    /// Under whose names: their own, and those they stand in for.
    pub names: Vec<String>,
    /// Where they work.
    pub own: Departments,
    /// Tickets of these departments, main or assisting.
    pub departments: Departments,
    /// Confidential tickets whose main department is one of these.
    pub confidential: Departments,
    /// Decides what departments dispute, and sees it (值班负责人).
    pub decides: bool,
}

impl Default for Sight {
    /// Everything: for the service itself.
    fn default() -> Self {
        let all = Departments::ALL;
        Self { names: Vec::new(), own: all, departments: all, confidential: all, decides: true }
    }
}

impl Sight {
    /// What this member of staff sees at that moment. Who has no department works for all of them; confidential tickets
    /// are for those who are named in them and for the leads. Whoever stands in for somebody who is away sees what is theirs by name.
    pub fn of(staff: &Staff, colleagues: &[Staff], now: Timestamp) -> Self {
        let stands_in = |other: &&Staff| {
            other.away.as_ref().is_some_and(|away| away.deputy == staff.name && now < away.until)
        };
        let others = colleagues.iter().filter(stands_in).map(|other| other.name.clone());
        let own = staff.department.map_or(Departments::ALL, Departments::of);
        let leads = matches!(staff.role, Role::Lead | Role::Admin);
        Self {
            names: std::iter::once(staff.name.clone()).chain(others).collect(),
            own,
            departments: own,
            confidential: if leads { own } else { Departments::default() },
            decides: is_duty_lead(staff),
        }
    }

    /// The rule: of a ticket of these departments, in which they are named or not.
    pub fn allows(
        &self,
        main: Departments,
        helpers: Departments,
        is_confidential: bool,
        is_named: bool,
    ) -> bool {
        is_named
            || if is_confidential {
                self.confidential.meets(main)
            } else {
                self.departments.meets(main.and(helpers))
            }
    }

    /// Whether they see this ticket.
    pub fn sees(&self, ticket: &Ticket) -> bool {
        let main = Departments::of(ticket.department);
        let is_disputed = ticket.for_lead == Some(ForLead::Disputed) && !ticket.stage.is_over();
        (is_disputed && self.decides)
            || self.allows(main, ticket.helpers, ticket.is_confidential, self.is_named_in(ticket))
    }

    /// The ticket is theirs, or they follow it.
    pub fn is_named_in(&self, ticket: &Ticket) -> bool {
        let mut names = ticket.assignee.iter().chain(&ticket.watchers);
        names.any(|name| self.names.contains(name))
    }
}

/// Decides about a ticket: its department's lead, or whoever leads all of them.
pub fn is_lead(staff: &Staff, ticket: &Ticket) -> bool {
    match staff.role {
        Role::Admin => true,
        Role::Lead => staff.department.is_none_or(|own| own == ticket.department),
        Role::Agent | Role::Viewer => false,
    }
}

/// Decides between departments (值班负责人): the lead of the consultation desk, or of all departments.
pub fn is_duty_lead(staff: &Staff) -> bool {
    match staff.role {
        Role::Admin => true,
        Role::Lead => staff.department.is_none_or(|own| own == Department::Desk),
        Role::Agent | Role::Viewer => false,
    }
}

/// Changes things at all.
pub fn may_work(staff: &Staff) -> bool {
    staff.role != Role::Viewer
}

/// Whether they may do this to a ticket that they see; else why not, as a sentence.
pub fn may(staff: &Staff, sight: &Sight, ticket: &Ticket, act: &Act) -> Result<(), &'static str> {
    if !may_work(staff) {
        return Err("您的账号是只读的，只能查看。");
    }
    let leads = is_lead(staff, ticket);
    let is_theirs = ticket.assignee.as_ref().is_some_and(|name| sight.names.contains(name));
    let in_charge = sight.departments.has(ticket.department) || is_theirs || leads;
    match act {
        Act::Decide(..) if !is_duty_lead(staff) => Err("由谁办理，要值班负责人来裁定。"),
        Act::DecideExtension(..) if !leads => Err("延期要由本部门的负责人决定。"),
        Act::Transfer(..) | Act::Share(_) if !in_charge => {
            Err("转办和协办由主办部门决定。您的部门是协办，有意见请写内部备注。")
        }
        Act::Assign(_) if !(leads || is_theirs || ticket.assignee.is_none()) => {
            Err("这张单子有人在办，要改派请找负责人，或者请对方自己转给您。")
        }
        Act::Confide(false) if !(leads || sight.is_named_in(ticket)) => {
            Err("取消保密要由负责人或办理人来做。")
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::staff::Away;

    fn staff(name: &str, role: Role, department: Option<Department>) -> Staff {
        Staff::new(name, role, department, "a long enough password", [3; 16]).unwrap()
    }

    #[test]
    fn a_department_sees_its_own_and_what_it_assists_with() {
        let sight = Sight::of(&staff("甲", Role::Agent, Some(Department::Union)), &[], Timestamp(0));
        let (union, finance) = (Departments::of(Department::Union), Departments::of(Department::Finance));
        let none = Departments::default();
        assert!(sight.allows(union, none, false, false));
        assert!(!sight.allows(finance, none, false, false));
        assert!(sight.allows(finance, union, false, false), "assists");
        assert!(sight.allows(finance, none, false, true), "is named");
        assert!(!sight.allows(union, none, true, false), "confidential");
        assert!(sight.allows(finance, none, true, true));
    }

    #[test]
    fn leads_see_confidential_tickets_of_their_own_department_only() {
        let lead = Sight::of(&staff("乙", Role::Lead, Some(Department::Union)), &[], Timestamp(0));
        let (union, finance) = (Departments::of(Department::Union), Departments::of(Department::Finance));
        assert!(lead.allows(union, Departments::default(), true, false));
        assert!(!lead.allows(finance, union, true, false), "assisting is not leading");
        let duty = Sight::of(&staff("丙", Role::Lead, None), &[], Timestamp(0));
        assert!(duty.allows(finance, Departments::default(), true, false));
    }

    #[test]
    fn a_deputy_sees_by_name_while_the_other_is_away() {
        let mut away = staff("甲", Role::Agent, Some(Department::Union));
        away.away = Some(Away { until: Timestamp(100), deputy: "丁".into() });
        let deputy = staff("丁", Role::Agent, Some(Department::Finance));
        let during = Sight::of(&deputy, std::slice::from_ref(&away), Timestamp(99));
        assert_eq!(during.names, ["丁", "甲"]);
        assert_eq!(Sight::of(&deputy, &[away], Timestamp(100)).names, ["丁"]);
    }

    #[test]
    fn the_duty_lead_is_the_desks_and_sees_what_departments_dispute() {
        let desk = Sight::of(&staff("丙", Role::Lead, Some(Department::Desk)), &[], Timestamp(0));
        let filed = (crate::knowledge::Category::Labour, Department::Union);
        let due = crate::calendar::Deadline { at: Timestamp(0), tentative: false };
        let ids = (crate::ticket::TicketId(1), crate::ticket::FollowerId(1));
        let mut ticket = Ticket::new(ids.0, ids.1, Timestamp(0), filed, due);
        ticket.is_confidential = true;
        assert!(!desk.sees(&ticket));
        ticket.for_lead = Some(ForLead::Disputed);
        assert!(desk.sees(&ticket), "or nobody could decide");
        assert!(is_duty_lead(&staff("乙", Role::Lead, Some(Department::Desk))));
        assert!(!is_duty_lead(&staff("乙", Role::Lead, Some(Department::Union))));
        assert!(!is_duty_lead(&staff("乙", Role::Agent, None)));
    }
}
