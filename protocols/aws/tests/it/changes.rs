//! What is changed as it was read, and what happens if somebody else was quicker.

use crate::core::{Core, json};

const URL: &str = "\"QueueUrl\":\"http://localhost:9324/000000000000/q\"";

#[test]
fn a_change_that_came_too_late_is_made_anew_of_what_is_there_now() {
    for (action, more) in [
        ("SetQueueAttributes", "\"Attributes\":{\"DelaySeconds\":\"7\"}"),
        ("TagQueue", "\"Tags\":{\"a\":\"1\"}"),
        ("UntagQueue", "\"TagKeys\":[\"a\"]"),
        ("AddPermission", "\"Label\":\"l\",\"AWSAccountIds\":[\"111111111111\"],\"Actions\":[\"SendMessage\"]"),
    ] {
        let mut core = Core { outrun: 2, ..Core::default() };
        let response = core.answer(&json(action, &format!("{{{URL},{more}}}")));
        assert_eq!((response.status, core.outrun), (200, 0), "{action} {response:?}");
        let times = |command: &str| core.commands.iter().filter(|asked| asked.contains(command)).count();
        assert_eq!((times("InspectQueue"), times("UpdateQueue")), (3, 3), "{action}");
    }
}

#[test]
fn what_is_there_already_is_waited_for() {
    let mut core = Core::default();
    assert_eq!(core.answer(&json("CreateQueue", "{\"QueueName\":\"q\"}")).status, 200);
    let waits = |asked: &String| asked.contains("IfKept") && asked.contains("change: None");
    assert_eq!(core.commands.iter().filter(|asked| waits(asked)).count(), 1);
}
