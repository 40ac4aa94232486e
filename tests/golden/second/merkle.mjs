// The RFC 6962 tree, written as its recursive definitions: a proof is checked by walking the definition that made it backwards.
import { sha256 } from './bytes.mjs';

const LEAF = Buffer.from([0]);
const NODE = Buffer.from([1]);
const LINK = Buffer.from([2]);

export const leafHash = (data) => sha256(LEAF, data);
const nodeHash = (left, right) => sha256(NODE, left, right);

/** The largest power of two smaller than `size`. */
function split(size) {
  let power = 1;
  while (power * 2 < size) power *= 2;
  return power;
}

/** MTH over leaf hashes. */
export function treeHash(leaves) {
  if (leaves.length === 0) return sha256();
  if (leaves.length === 1) return leaves[0];
  const middle = split(leaves.length);
  return nodeHash(treeHash(leaves.slice(0, middle)), treeHash(leaves.slice(middle)));
}

/** The root that PATH(index, D[size]) = `path` leads to from `leaf`; null when the path has another length. */
function rootFrom(leaf, index, size, path) {
  if (size === 1) return path.length === 0 ? leaf : null;
  if (path.length === 0) return null;
  const middle = split(size);
  const rest = path.slice(0, -1);
  const sibling = path[path.length - 1];
  const left = index < middle;
  const inner = left ? rootFrom(leaf, index, middle, rest) : rootFrom(leaf, index - middle, size - middle, rest);
  if (inner === null) return null;
  return left ? nodeHash(inner, sibling) : nodeHash(sibling, inner);
}

export function includes(leaf, index, size, path, root) {
  if (index < 0 || index >= size) return false;
  const found = rootFrom(leaf, index, size, path);
  return found !== null && found.equals(root);
}

/** [old root, new root] that SUBPROOF(old, D[size], whole) = `path` leads to; null when the path has another length. */
function rootsFrom(old, size, whole, path, oldRoot) {
  if (old === size) {
    if (whole) return path.length === 0 ? [oldRoot, oldRoot] : null;
    return path.length === 1 ? [path[0], path[0]] : null;
  }
  if (path.length === 0) return null;
  const middle = split(size);
  const rest = path.slice(0, -1);
  const sibling = path[path.length - 1];
  if (old <= middle) {
    const inner = rootsFrom(old, middle, whole, rest, oldRoot);
    return inner && [inner[0], nodeHash(inner[1], sibling)];
  }
  const inner = rootsFrom(old - middle, size - middle, false, rest, oldRoot);
  return inner && [nodeHash(sibling, inner[0]), nodeHash(sibling, inner[1])];
}

export function extendsTree(oldSize, oldRoot, newSize, newRoot, path) {
  if (oldSize < 0 || oldSize > newSize) return false;
  if (oldSize === 0) return path.length === 0 && oldRoot.equals(sha256()) && (newSize > 0 || newRoot.equals(sha256()));
  const roots = rootsFrom(oldSize, newSize, true, path, oldRoot);
  return roots !== null && roots[0].equals(oldRoot) && roots[1].equals(newRoot);
}

/** A subject's next link. */
export const nextLink = (link, recordHash) => sha256(LINK, link, recordHash);
