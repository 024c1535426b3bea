use super::*;
use crate::base::SeededRandom;
use proptest::prelude::*;

const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(86_400);

fn t0() -> Timestamp {
    Timestamp::from_secs(1_800_000_000)
}

fn plan(text: &str) -> JobPlan {
    JobPlan::new(Some(text.parse().unwrap()), Zone::UTC)
}

fn planned(plan: &JobPlan, now: Timestamp) -> JobState {
    let mut state = JobState::new(JobName::Prune);
    let next = plan.replan(&state, now, &SeededRandom::new(1)).unwrap();
    (state.plan, state.next_at, state.retries) = (plan.to_string(), next.at, next.retries);
    state
}

#[test]
fn every_job_has_a_name_a_sentence_and_a_time_that_can_be_read() {
    let plans = JobPlans::default();
    for job in JobName::ALL {
        assert_eq!(job.as_str().parse(), Ok(job));
        assert_eq!(serde_json::to_value(job).unwrap(), job.as_str());
        assert!(job.about().ends_with('.') && job.about().len() > 30, "{job}");
        assert_eq!(plans.of(job).is_none(), job.usual() == Usual::Always, "{job}");
    }
    assert!("reboot".parse::<JobName>().is_err());
}

#[test]
fn a_run_that_was_missed_is_caught_up_once() {
    let plan = plan("17 3 * * *");
    let mut state = planned(&plan, t0());
    let back = t0() + DAY * 9;
    assert_eq!(state.is_due(back), Some(JobCause::Missed));
    state.begin(JobCause::Missed, back);
    assert_eq!(state.is_due(back + DAY * 2), None, "never beside itself");
    let next = plan.after(JobOutcome::Ok, 0, back, &SeededRandom::new(2));
    state.end(JobOutcome::Ok, String::new(), next, back);
    assert_eq!(state.is_due(back + HOUR), None);
    assert!(state.next_at.unwrap() > back && state.next_at.unwrap() <= back + DAY + JITTER_MAX);
}

#[test]
fn a_run_that_was_cut_short_is_done_again_at_once_and_then_more_and_more_slowly() {
    let plan = plan("17 3 * * *");
    let mut state = planned(&plan, t0());
    let mut waits = Vec::new();
    let mut now = state.next_at.unwrap();
    for _ in 0..4 {
        state.begin(state.is_due(now).unwrap(), now);
        let next = plan.after(
            JobOutcome::Interrupted,
            state.failures,
            now,
            &SeededRandom::new(2),
        );
        state.end(JobOutcome::Interrupted, String::new(), next, now);
        waits.push(state.next_at.unwrap().since(now).as_secs());
        now = state.next_at.unwrap();
        assert_eq!(state.is_due(now), Some(JobCause::Retry));
    }
    assert_eq!(waits, [0, 120, 240, 480]);
}

#[test]
fn who_asks_is_served_once() {
    let mut state = planned(&plan("17 3 * * *"), t0());
    state.asked = Some(JobAsked {
        at: t0(),
        by: "client:alice".to_owned(),
    });
    assert_eq!(state.is_due(t0()), Some(JobCause::Asked));
    state.begin(JobCause::Asked, t0());
    assert_eq!((state.is_due(t0()), &state.asked), (None, &None));
}

#[test]
fn another_schedule_and_a_clock_that_was_set_back_make_another_plan() {
    let (daily, random) = (plan("17 3 * * *"), SeededRandom::new(3));
    let state = planned(&daily, t0());
    assert_eq!(daily.replan(&state, t0(), &random), None);
    assert_eq!(
        daily.replan(&state, t0() + DAY * 3, &random),
        None,
        "missed, and kept"
    );
    let hourly = plan("5 * * * *");
    assert!(hourly.replan(&state, t0(), &random).unwrap().at.unwrap() <= t0() + HOUR * 2);
    let before = t0() - DAY * 300;
    assert!(daily.replan(&state, before, &random).unwrap().at.unwrap() <= before + DAY * 2);
    let off = JobPlan::new(None, Zone::UTC);
    assert_eq!(off.replan(&state, t0(), &random).unwrap().at, None);
}

#[test]
fn what_runs_all_the_time_has_no_schedule() {
    let mut plans = JobPlans::default();
    assert!(plans.set(JobName::Crl, None).is_err());
    plans.set(JobName::Backup, None).unwrap();
    assert_eq!(plans.of(JobName::Backup).unwrap().to_string(), "off");
}

proptest! {
    /// Whatever fails when: runs follow each other, never more than one for a time that came, and the next is never
    /// later than the schedule says.
    #[test]
    fn no_time_is_skipped_and_none_is_served_twice(
        outcomes in prop::collection::vec((0..3u8, 0..200_000u64), 1..40),
        seed: u64,
    ) {
        let (plan, random) = (plan("*/30 * * * *"), SeededRandom::new(seed));
        let mut state = planned(&plan, t0());
        let mut now = t0();
        let mut served = t0();
        for (outcome, pause) in outcomes {
            now = now.max(state.next_at.unwrap()) + Duration::from_secs(pause);
            let cause = state.is_due(now).expect("its time has come");
            if cause != JobCause::Retry {
                let due = state.next_at.unwrap();
                prop_assert!(due > served, "each time once");
                served = now;
            }
            state.begin(cause, now);
            let outcome = [JobOutcome::Ok, JobOutcome::Failed, JobOutcome::Interrupted][usize::from(outcome)];
            let next = plan.after(outcome, state.failures, now, &random);
            state.end(outcome, String::new(), next, now);
            prop_assert!(state.next_at.unwrap() <= now + HOUR / 2 + JITTER_MAX);
            prop_assert!(outcome == JobOutcome::Interrupted || state.next_at.unwrap() > now);
        }
    }
}
