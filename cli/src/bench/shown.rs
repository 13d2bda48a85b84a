//! A measurement's document on a terminal.
use crate::exit::Failure;
use crate::output::{Grid, Look, Word};
use crate::term::Tone;
use windlass_report::{Report, number};

pub(crate) trait Shown {
    fn table(&self, look: &Look) -> String;
    fn document(&self) -> Result<String, Failure>;
}

impl Shown for Report {
    fn table(&self, look: &Look) -> String {
        let mut grid = Grid::new(&["", "MEASURED", "PROMISED", ""]);
        for row in &self.rows {
            let value = self.value(row);
            let verdict = match row.met(value) {
                None => Word::default(),
                Some(true) => Word::toned(Tone::Good, "kept"),
                Some(false) => Word::toned(Tone::Bad, "not kept"),
            };
            let measured = format!("{} {}", number(value), row.unit);
            grid.row(vec![
                row.what.as_str().into(),
                measured.trim_end().into(),
                Word::quiet(row.limit()),
                verdict,
            ]);
        }
        let machine = &self.machine;
        let cpu = machine.cpu.as_deref().unwrap_or(&machine.arch);
        let on =
            format!("{} · {cpu}, {} cores · {} build", self.command, machine.cores, self.profile);
        format!("{}\n{}\n{}", look.strong(&self.about), grid.render(look), look.quiet(&on))
    }

    fn document(&self) -> Result<String, Failure> {
        self.json().map_err(|e| Failure::failed("the figures do not serialise").because(e))
    }
}
