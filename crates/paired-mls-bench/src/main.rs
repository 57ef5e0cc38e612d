//! What a paired device does beside what stock OpenMLS does on the same state, in one run.
//!
//! `./bench.sh` runs it. What counts is the ratio: both sides take turns, and the CPU time of each round
//! is compared, so that a busy machine does not change it.

mod measure;
mod member;
mod operations;
mod place;
mod report;
mod tape;
mod town;
mod writes;

use std::{fs, path::PathBuf, process::ExitCode};

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::{
    measure::{Comparison, Side, marked},
    operations::Effort,
    place::{Disk, Memory, Place, Plain, Sealed},
    report::{BothWrites, Report, Row},
    town::{LeafTown, NodeTown, Tree},
};

/// Whatever went wrong.
pub(crate) type Failure = Box<dyn std::error::Error>;

/// Paired beside ordinary commits, in one run.
#[derive(Debug, Parser)]
#[command(args_conflicts_with_subcommands = true)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    run: Run,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Prints the tables of a run that was written with --json.
    Table {
        /// The file that it was written to.
        file: PathBuf,
    },
    /// Does each operation of one group once, with marks for strace.
    #[command(hide = true)]
    Once(Scene),
}

#[derive(Debug, Args)]
struct Run {
    /// 10 and 100 members, in memory and on SQLite, few rounds: about three minutes.
    #[arg(long)]
    quick: bool,
    /// Members of the groups.
    #[arg(long, value_delimiter = ',', default_values_t = [10, 100, 1000])]
    members: Vec<usize>,
    /// Rounds for each operation.
    #[arg(long, default_value_t = 50)]
    rounds: usize,
    /// How many commits a device is behind that catches up; 0 leaves it out.
    #[arg(long, default_value_t = 500)]
    behind: usize,
    /// Storages.
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = [Storage::Memory, Storage::SqlitePlain, Storage::SqliteSealed])]
    storage: Vec<Storage>,
    /// Ratchet trees.
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = [Tree::Full, Tree::Blank])]
    tree: Vec<Tree>,
    /// Anchors.
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = [Anchor::Node, Anchor::Leaf])]
    anchor: Vec<Anchor>,
    /// Writes all rows to this file.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

/// One group to measure in.
#[derive(Clone, Copy, Debug, Args)]
struct Scene {
    #[arg(long, value_enum)]
    anchor: Anchor,
    #[arg(long, value_enum)]
    storage: Storage,
    #[arg(long, value_enum)]
    tree: Tree,
    #[arg(long)]
    members: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Anchor {
    /// Each device has its leaf; the anchor is the node above them.
    Node,
    /// The devices share one leaf, in hidden mode.
    Leaf,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Storage {
    /// MLS state and vault in memory.
    Memory,
    /// SQLite, and a file for each record of the vault.
    SqlitePlain,
    /// SQLite, and one sealed file.
    SqliteSealed,
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let done = match cli.command {
        Some(Command::Table { file }) => table(&file),
        Some(Command::Once(scene)) => once(scene),
        None => run(cli.run),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("the benchmark failed: {error}");
            ExitCode::FAILURE
        }
    }
}

fn table(file: &PathBuf) -> Result<(), Failure> {
    let text = fs::read(file).map_err(|error| format!("{}: {error}", file.display()))?;
    print!("{}", serde_json::from_slice::<Report>(&text)?.tables());
    Ok(())
}

fn once(scene: Scene) -> Result<(), Failure> {
    marked(|| measure(scene, Effort { rounds: 1, behind: 0 }).map(drop))
}

fn run(mut options: Run) -> Result<(), Failure> {
    if options.quick {
        (options.members, options.rounds, options.behind) = (vec![10, 100], 15, 30);
        options.storage = vec![Storage::Memory, Storage::SqlitePlain];
        options.tree = vec![Tree::Full];
    }
    if options.members.iter().any(|members| *members < 3) {
        return Err("a group needs 3 members or more: the pair, and somebody else".into());
    }
    if options.rounds == 0 {
        return Err("--rounds is 1 or more".into());
    }
    let mut report = Report { tape: tape::measure(20 * options.rounds)?, ..Report::default() };
    for scene in options.scenes() {
        eprintln!("{}", scene.name());
        let effort = Effort { rounds: options.rounds, behind: options.behind };
        let compared = measure(scene, effort)?;
        let writes = match scene.storage {
            Storage::Memory => None,
            _ => writes::trace(&scene.arguments())?,
        };
        for compared in compared {
            let of = |side: Side| {
                writes.as_ref()?.get(&format!("{} {}", side.name(), compared.operation)).copied()
            };
            let writes = of(Side::Ordinary)
                .zip(of(Side::Paired))
                .map(|(ordinary, paired)| BothWrites { ordinary, paired });
            report.rows.push(scene.row(compared, writes));
        }
    }
    if let Some(file) = &options.json {
        fs::write(file, serde_json::to_vec_pretty(&report)?)
            .map_err(|error| format!("{}: {error}", file.display()))?;
    }
    print!("{}", report.tables());
    Ok(())
}

impl Run {
    fn scenes(&self) -> Vec<Scene> {
        let mut scenes = Vec::new();
        for &anchor in &self.anchor {
            for &storage in &self.storage {
                for &tree in &self.tree {
                    for &members in &self.members {
                        scenes.push(Scene { anchor, storage, tree, members });
                    }
                }
            }
        }
        scenes
    }
}

impl Scene {
    fn name(&self) -> String {
        let Self { anchor, storage, tree, members } = self;
        let [anchor, storage, tree] = [name(anchor), name(storage), name(tree)];
        format!("{anchor} anchor, {storage}, {tree} tree, {members} members")
    }

    fn arguments(&self) -> Vec<String> {
        let Self { anchor, storage, tree, members } = self;
        let options = [
            ("--anchor", name(anchor)),
            ("--storage", name(storage)),
            ("--tree", name(tree)),
            ("--members", members.to_string()),
        ];
        let options = options.into_iter().flat_map(|(option, value)| [option.to_owned(), value]);
        std::iter::once("once".to_owned()).chain(options).collect()
    }

    fn row(&self, compared: Comparison, writes: Option<BothWrites>) -> Row {
        Row {
            library: "openmls".to_owned(),
            anchor: name(&self.anchor),
            storage: name(&self.storage),
            members: self.members,
            tree: name(&self.tree),
            compared,
            writes,
        }
    }
}

/// As it is given on the command line.
fn name(value: &impl ValueEnum) -> String {
    value.to_possible_value().map_or_else(String::new, |value| value.get_name().to_owned())
}

fn measure(scene: Scene, effort: Effort) -> Result<Vec<Comparison>, Failure> {
    match scene.storage {
        Storage::Memory => measure_at::<Memory>(scene, effort),
        Storage::SqlitePlain => measure_at::<Disk<Plain>>(scene, effort),
        Storage::SqliteSealed => measure_at::<Disk<Sealed>>(scene, effort),
    }
}

fn measure_at<S: Place>(scene: Scene, effort: Effort) -> Result<Vec<Comparison>, Failure> {
    match scene.anchor {
        Anchor::Node => operations::node(&NodeTown::<S>::new(scene.members, scene.tree)?, effort),
        Anchor::Leaf => operations::leaf(&LeafTown::<S>::new(scene.members, scene.tree)?, effort),
    }
}
