//! The faults themselves.

use std::path::Path;
use std::time::Duration;

use super::disk::SmallDisk;
use super::fleet;
use super::plan::{Fault, Step};
use super::server::{Postgres, Programs};
use super::{Stage, Wish};

/// How often connections are cut while that lasts.
const CUT_EVERY: Duration = Duration::from_millis(250);

impl Stage {
    /// Makes PostgreSQL with a standby, and replicas over both.
    pub(super) async fn set(programs: Programs, folder: &Path, wish: Wish) -> anyhow::Result<Stage> {
        programs.give(folder)?;
        let disk = SmallDisk::mount(&folder.join("small"));
        let on_small_disk = disk.is_ok();
        let place = disk.as_ref().map_or(folder, SmallDisk::path).to_owned();
        programs.give(&place)?;
        let first = Postgres::make(&programs, &place.join("server-1")).await?;
        first.sql("CREATE DATABASE pinrail").await?;
        let second_port = super::process::free_port()?;
        let second = first.followed_in(&folder.join("server-2"), second_port).await?;
        let store = format!(
            "postgres://postgres@127.0.0.1:{},127.0.0.1:{second_port}/pinrail?target_session_attrs=read-write&sslmode=disable",
            first.port
        );
        let replicas = fleet::start(usize::from(wish.replicas), folder, &store).await?;
        Ok(Stage {
            first,
            second: Some(second),
            replicas,
            disk,
            on_small_disk,
            folder: folder.to_owned(),
            servers_made: 2,
            spare_port: second_port,
        })
    }

    /// Whether a fault can happen here and now.
    pub(super) fn allows(&self, fault: Fault) -> Result<(), String> {
        match fault {
            Fault::DiskFull => match &self.disk {
                Err(why) => Err(why.clone()),
                Ok(_) if !self.on_small_disk => {
                    Err("the server that takes writes is on a large disk by now".to_owned())
                }
                Ok(_) => Ok(()),
            },
            Fault::ReplicaKilled
            | Fault::ReplicaPaused
            | Fault::PostgresKilled
            | Fault::ConnectionsCut
            | Fault::FailedOver => Ok(()),
        }
    }

    /// Breaks something, waits as long as it lasts, and ends it. Says whom it struck.
    pub(super) async fn strike(&mut self, step: Step) -> anyhow::Result<String> {
        let Step { fault, replica, lasts, .. } = step;
        match fault {
            Fault::ReplicaKilled => {
                self.replicas[replica].kill()?;
                tokio::time::sleep(lasts).await;
                self.replicas[replica].start()?;
                Ok(self.replicas[replica].name.clone())
            }
            Fault::ReplicaPaused => {
                // The one that leads, where it is known: the others have the most to lose by it.
                let whom = self.leader().await.unwrap_or(replica);
                self.replicas[whom].pause()?;
                tokio::time::sleep(lasts).await;
                self.replicas[whom].wake()?;
                Ok(self.replicas[whom].name.clone())
            }
            Fault::PostgresKilled => {
                self.first.kill()?;
                tokio::time::sleep(lasts).await;
                self.first.start().await?;
                Ok("the server".to_owned())
            }
            Fault::ConnectionsCut => {
                let until = super::process::now() + lasts;
                let mut cut = 0;
                while super::process::now() < until {
                    cut += self.first.cut_connections().await?;
                    tokio::time::sleep(CUT_EVERY).await;
                }
                Ok(format!("{cut} connections"))
            }
            Fault::DiskFull => self.fill(lasts).await,
            Fault::FailedOver => {
                self.first.kill()?;
                self.spare_port = self.first.port;
                let second = self.second.take().expect("a standby follows before each fault");
                second.promote().await?;
                self.first = second;
                self.on_small_disk = false;
                Ok("to the standby".to_owned())
            }
        }
    }

    async fn fill(&mut self, lasts: Duration) -> anyhow::Result<String> {
        let Ok(disk) = &self.disk else { anyhow::bail!("there is no small disk") };
        disk.fill()?;
        tokio::time::sleep(lasts).await;
        disk.clear()?;
        if self.first.is_running() {
            return Ok("the server, which went on".to_owned());
        }
        // With no room for its log it ends; whoever runs it starts it again once there is room.
        self.first.start().await?;
        Ok("the server, which ended".to_owned())
    }

    /// After a failover: makes a standby again, on the port that the dead server had.
    pub(super) async fn mend(&mut self) -> anyhow::Result<()> {
        if self.second.is_none() {
            self.servers_made += 1;
            let data = self.folder.join(format!("server-{}", self.servers_made));
            self.second = Some(self.first.followed_in(&data, self.spare_port).await?);
        }
        Ok(())
    }

    /// The replica that says it leads.
    async fn leader(&self) -> Option<usize> {
        for (n, replica) in self.replicas.iter().enumerate() {
            let said = super::ask::Ask::get("/api/v1/replicas").send(replica.port).await;
            if let super::ask::Said::Done(told) = said
                && told["leads"] == true
            {
                return Some(n);
            }
        }
        None
    }
}
