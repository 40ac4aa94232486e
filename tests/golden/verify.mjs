// The second implementation: checks every golden vector with nothing but Node's standard library, from the layouts alone.
//
//   node tests/golden/verify.mjs [vectors.json]
//
// A line for each group, each failure by name, then `N passed, M failed`; exit code 1 when one failed, when a group is missing or empty, or
// when the file holds a group that nothing here checks.
import { readFileSync } from 'node:fs';
import { accepted } from './second/accepted.mjs';
import { refusals } from './second/refused.mjs';

const FORMAT = 'sento-golden-vectors-1';
const checks = { ...accepted, ...refusals };

function runGroup(name, group) {
  const failures = [];
  const vectors = Array.isArray(group) ? group : [];
  if (vectors.length === 0) failures.push('the group is missing or empty');
  if (!Object.hasOwn(checks, name)) return { passed: 0, failures: ['no check here knows this group'] };
  vectors.forEach((vector, n) => {
    try {
      checks[name](vector, vectors);
    } catch (error) {
      failures.push(`[${n}] ${vector.name ?? ''}: ${error.message}`);
    }
  });
  return { passed: Math.max(0, vectors.length - failures.length), failures };
}

const path = process.argv[2] ?? new URL('vectors.json', import.meta.url);
const { format, ...groups } = JSON.parse(readFileSync(path, 'utf8'));
if (format !== FORMAT) throw new Error(`the file is not ${FORMAT}`);
let [passed, failed] = [0, 0];
for (const name of new Set([...Object.keys(checks), ...Object.keys(groups)])) {
  const result = runGroup(name, groups[name]);
  passed += result.passed;
  failed += result.failures.length;
  console.log(`${name}: ${result.passed} passed, ${result.failures.length} failed`);
  for (const failure of result.failures) console.log(`  FAILED ${failure}`);
}
console.log(`${passed} passed, ${failed} failed`);
process.exitCode = failed === 0 ? 0 : 1;
