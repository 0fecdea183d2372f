//! Text in columns.

/// Two spaces between columns, each as wide as its widest cell; nothing behind the last.
pub fn columns(rows: &[Vec<String>]) -> String {
    let count = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |at: usize| rows.iter().filter_map(|row| row.get(at)).map(|cell| cell.chars().count()).max();
    let widths: Vec<usize> = (0..count).map(|at| width(at).unwrap_or(0)).collect();
    let line = |row: &Vec<String>| {
        let cells: Vec<String> =
            row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
        cells.join("  ").trim_end().to_owned() + "\n"
    };
    rows.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::columns;

    #[test]
    fn columns_are_aligned_and_lines_have_no_trailing_space() {
        let rows =
            [["NAME", "KIND"], ["rxe0", "soft-roce"], ["é", ""]].map(|row| row.map(str::to_owned).to_vec());
        assert_eq!(columns(&rows), "NAME  KIND\nrxe0  soft-roce\né\n");
    }
}
