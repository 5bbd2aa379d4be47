//! Puts blocks that overlap one behind the other, for dialects in which a block begins when the one before it is over.
//!
//! Conditions: the block that was opened first goes through at once. What comes of others meanwhile waits, block by block in
//! the order in which they were opened, up to a bound; when the first is closed, the next one's pieces follow, and it goes through
//! from then on. What belongs to no block passes at once: a reader closes every block before it says that the answer stopped.

use std::collections::VecDeque;

use super::parts::Piece;
use super::{GATHERED_BYTES_MAX, Unconvertible, too_long};

/// Orders the pieces of one answer.
#[derive(Debug, Default)]
pub(super) struct InTurn {
    current: Option<usize>,
    waiting: VecDeque<(usize, Vec<Piece>)>,
    waiting_bytes: usize,
}

impl InTurn {
    /// Takes a piece and gives those whose turn it now is.
    pub fn take(&mut self, piece: Piece, out: &mut Vec<Piece>) -> Result<(), Unconvertible> {
        let Some(block) = block_of(&piece) else {
            out.push(piece);
            return Ok(());
        };
        let current = *self.current.get_or_insert(block);
        if block != current {
            return self.wait(block, piece);
        }
        let over = matches!(piece, Piece::Close { .. });
        out.push(piece);
        if over {
            self.next(out);
        }
        Ok(())
    }

    fn wait(&mut self, block: usize, piece: Piece) -> Result<(), Unconvertible> {
        if let Piece::Delta { text, .. } = &piece {
            self.waiting_bytes += text.len();
            if self.waiting_bytes > GATHERED_BYTES_MAX {
                return Err(too_long(GATHERED_BYTES_MAX));
            }
        }
        match self.waiting.iter_mut().find(|(waiting, _)| *waiting == block) {
            Some((_, pieces)) => pieces.push(piece),
            None => self.waiting.push_back((block, vec![piece])),
        }
        Ok(())
    }

    /// Lets the next blocks through, up to the first that is not over yet.
    fn next(&mut self, out: &mut Vec<Piece>) {
        self.current = None;
        while let Some((block, pieces)) = self.waiting.pop_front() {
            let over = pieces.iter().any(|piece| matches!(piece, Piece::Close { .. }));
            for piece in &pieces {
                if let Piece::Delta { text, .. } = piece {
                    self.waiting_bytes -= text.len();
                }
            }
            out.extend(pieces);
            if !over {
                self.current = Some(block);
                return;
            }
        }
    }
}

fn block_of(piece: &Piece) -> Option<usize> {
    match piece {
        Piece::Open { block, .. }
        | Piece::Delta { block, .. }
        | Piece::Cite { block, .. }
        | Piece::Seal { block, .. }
        | Piece::Close { block } => Some(*block),
        Piece::Head(_) | Piece::Stop(_) | Piece::End(_) | Piece::Failed(_) | Piece::Pulse => None,
    }
}
