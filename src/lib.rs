//! 莘企政策咨询: a chat-bot service behind a WeChat official account. The map, in reading order; each module may use
//! those above it, never below (`tests/it/architecture.rs` holds this).

pub mod clock;

pub mod calendar;

pub mod meaning;

pub mod matching;

pub mod knowledge;

pub mod ticket;

pub mod mask;

pub mod media;

pub mod window;

pub mod bubble;

pub mod answer_link;

pub mod staff;

pub mod words;

pub mod conversation;

pub mod access;

pub mod audit;
pub mod numbers;

pub mod store;

pub mod search;

pub mod finding;

pub mod live;

pub mod wechat;

pub mod config;

pub mod notices;

pub mod thinker;

pub mod mailroom;

pub mod desk;

pub mod library;

pub mod menu;

pub mod qr;

pub mod doctor;

pub mod evaluate;

pub mod delivery;

pub mod bulletin;

pub mod fake_wechat;

pub mod control;

pub mod web;

pub mod app;
