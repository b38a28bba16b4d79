/** Which namespace is looked at. */

import { usePolled, type Operator } from "./api";

const EVERY_MS = 15_000;

export function NamespaceChoice({ operator, refused, value, choose }: {
  operator: Operator;
  refused: () => void;
  value: string;
  choose: (namespace: string) => void;
}) {
  const { answer } = usePolled(operator.nodes, EVERY_MS, refused);
  const names = [...new Set(["/", value, ...(answer?.nodes ?? []).flatMap((node) => node.namespaces.map(({ name }) => name))])];
  return (
    <div className="field">
      <label htmlFor="namespace">Namespace</label>
      <select id="namespace" value={value} onChange={(event) => choose(event.target.value)}>
        {names.toSorted().map((name) => <option key={name}>{name}</option>)}
      </select>
    </div>
  );
}
