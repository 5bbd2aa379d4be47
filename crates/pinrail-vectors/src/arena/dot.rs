//! The product of a vector's code and a query's, the innermost loop of a scan.

/// Numbers taken at once. With one sum for each, the vectoriser needs only instructions that every 64-bit processor
/// has: two products of 16-bit numbers and their addition at a time. Measured at 384 dimensions on x86-64 without
/// special instructions: 21 ns with 32 sums, 40 ns with 16, 150 ns with 16 sums for 64 numbers.
const LANES: usize = 32;

/// The sum of products. A function of its own, since the vectoriser gives up on it where it is inlined into the scan
/// (97 ns). The query's codes are small enough that no sum overflows (see [`crate::query`]).
#[inline(never)]
pub(super) fn dot(code: &[i8], query: &[i16]) -> i32 {
    let (codes, codes_left) = code.as_chunks::<LANES>();
    let (queries, queries_left) = query.as_chunks::<LANES>();
    let mut sums = [0_i32; LANES];
    for (code, query) in codes.iter().zip(queries) {
        for lane in 0..LANES {
            sums[lane] += i32::from(i16::from(code[lane])) * i32::from(query[lane]);
        }
    }
    let left = codes_left.iter().zip(queries_left).map(|(code, query)| i32::from(*code) * i32::from(*query));
    sums.iter().sum::<i32>() + left.sum::<i32>()
}
