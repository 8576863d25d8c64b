/**
 * CRC-32 as in gzip (RFC 1952, section 8): a polynomial over GF(2) modulo P, in an unsigned number of 32 bits. The highest
 * bit is the coefficient of x^0, the lowest that of x^31.
 */
const P = 0xedb88320
const one = 0x80000000

/** Returns the product of two polynomials modulo P. */
function product(a: number, b: number): number {
  let sum = 0
  let shifted = b
  for (let bit = one; bit !== 0; bit >>>= 1) {
    if (a & bit) sum ^= shifted
    // Times x: the coefficient of x^31 becomes that of x^32, which P makes smaller.
    shifted = shifted & 1 ? (shifted >>> 1) ^ P : shifted >>> 1
  }
  return sum >>> 0
}

/** x^(2^k), for each k. From 32 on they repeat: x^(2^32 - 1) is 1, since P is primitive. */
const squares: number[] = [one >>> 1]
for (let k = 1; k < 32; k++) squares.push(product(squares[k - 1] as number, squares[k - 1] as number))

/**
 * Returns the CRC-32 of two sequences of bytes, one after the other.
 * @param secondLength bytes of the second one: each multiplies the first CRC by x^8
 */
export function combineCrc32(first: number, second: number, secondLength: number): number {
  let shifted = first
  for (let k = 3, left = secondLength; left > 0; k++, left = Math.floor(left / 2)) {
    if (left % 2 === 1) shifted = product(squares[k % 32] as number, shifted)
  }
  return (shifted ^ second) >>> 0
}
