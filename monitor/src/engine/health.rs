//! Health: what the source says of itself, and what the stages after it lack, joined in one place. No stage changes what
//! another said.

use crate::model::{Degradation, Health};
use std::sync::Arc;

/// The joined health, made anew when a part of it changed.
#[derive(Debug, Default)]
pub(super) struct Joined {
    /// What it was made of.
    source: Arc<Health>,
    tier: Option<String>,
    degraded: Vec<Degradation>,
    uncounted: Option<&'static str>,
    all: Arc<Health>,
}

impl Joined {
    /// The `source`'s own; with how owners are found and what is lacking where stages after it say that, and why its runs
    /// are not `counted` where it cannot know.
    pub(super) fn join<'d>(
        &mut self,
        source: &Arc<Health>,
        tier: Option<&str>,
        degraded: impl Iterator<Item = &'d Degradation> + Clone,
        uncounted: Option<&'static str>,
    ) -> Arc<Health> {
        let is_same = Arc::ptr_eq(&self.source, source)
            && self.tier.as_deref() == tier
            && self.uncounted == uncounted
            && self.degraded.iter().eq(degraded.clone());
        if !is_same {
            (self.source, self.tier) = (Arc::clone(source), tier.map(str::to_owned));
            (self.degraded, self.uncounted) = (degraded.cloned().collect(), uncounted);
            self.all = self.made();
        }
        Arc::clone(&self.all)
    }

    fn made(&self) -> Arc<Health> {
        if self.tier.is_none() && self.degraded.is_empty() && self.uncounted.is_none() {
            return Arc::clone(&self.source);
        }
        let mut all = Health::clone(&self.source);
        if let Some(tier) = &self.tier {
            all.tier.clone_from(tier);
        }
        all.degraded.extend_from_slice(&self.degraded);
        all.uncounted_runs = self.uncounted.map(str::to_owned).or(all.uncounted_runs);
        Arc::new(all)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_each_lacks_is_said_once_and_goes_when_it_is_there_again() {
        let lack = |what: &str| Degradation { what: what.into(), ..Degradation::default() };
        let source = Arc::new(Health { degraded: vec![lack("a kernel program")], ..Health::default() });
        let mut joined = Joined::default();
        let names = [lack("names")];
        let what = |health: &Health| health.degraded.iter().map(|lack| lack.what.clone()).collect::<Vec<_>>();
        let both = joined.join(&source, Some("lsof"), names.iter(), None);
        assert_eq!((what(&both), &*both.tier), (vec!["a kernel program".into(), "names".into()], "lsof"));
        assert!(Arc::ptr_eq(&both, &joined.join(&source, Some("lsof"), names.iter(), None)), "made once");
        let alone = joined.join(&source, None, [].iter(), None);
        assert!(Arc::ptr_eq(&alone, &source), "nothing is copied where nothing is lacking");
    }
}
