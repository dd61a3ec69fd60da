//! `xinqi doctor`: how the service and its account stand, and what to do. The running service looks for itself; where none
//! runs, this process does, with the account of the configuration.

use anyhow::Context;
use serde_json::json;
use std::process::ExitCode;
use xinqi::clock::Clock;
use xinqi::config::Config;
use xinqi::control::{self, Command};
use xinqi::doctor::{self, Level, Report, Subject};
use xinqi::library;
use xinqi::wechat::Client;

pub async fn run(config: &Config, json: bool) -> anyhow::Result<ExitCode> {
    let command = Command::Doctor { account: config.wechat.app_id.clone() };
    let report: Report = match control::ask(&config.data_dir, &command).await? {
        Some(answer) => {
            serde_json::from_str(&answer).context("运行中的服务答非所问，可能版本不同，请重启服务")?
        }
        None => alone(config).await?,
    };
    if json {
        print_json(&report)?
    } else {
        print(&report)
    }
    Ok(if report.is_good() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Without a running service: the same account, and what nobody but the service knows is left out.
async fn alone(config: &Config) -> anyhow::Result<Report> {
    let (clock, wechat) = (Clock::system(), &config.wechat);
    let client = || Client::new(&wechat.api_base, &wechat.app_id, wechat.app_secret.clone(), clock.clone());
    let client = if wechat.is_sandbox() { None } else { Some(client()?) };
    let handbook = library::load(&config.knowledge_dir, config.matching).map_err(|errors| {
        format!("知识库有 {} 处错误，第一处是：{}", errors.len(), errors.first().map_or("", String::as_str))
    });
    let handbook = handbook.as_ref().map_err(Clone::clone);
    Ok(doctor::examine(&Subject::of(config, client.as_ref(), handbook, &clock)).await)
}

fn print(report: &Report) {
    for finding in &report.findings {
        // Four 汉字 wide, the longest of them.
        let level = format!("{:\u{3000}<4}", finding.level.name());
        println!("{level}  {}：{}", finding.check.name(), finding.found);
        if !finding.todo.is_empty() && finding.level != Level::Pass {
            println!("{}  怎么办：{}", "\u{3000}".repeat(4), finding.todo);
        }
    }
    println!("{}", report.summary());
}

fn print_json(report: &Report) -> anyhow::Result<()> {
    let findings: Vec<_> = report
        .findings
        .iter()
        .map(|finding| {
            json!({
                "check": finding.check,
                "name": finding.check.name(),
                "level": finding.level,
                "found": finding.found,
                "todo": finding.todo,
            })
        })
        .collect();
    let whole = json!({ "ok": report.is_good(), "at_ms": report.at.0, "findings": findings });
    println!("{}", serde_json::to_string_pretty(&whole)?);
    Ok(())
}
