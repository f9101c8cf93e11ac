import { useEffect, useState } from "react";
import { sentence } from "../api";
import type { User } from "../model";
import { Avatar } from "./Avatar";
import { useChat } from "./context";

/** Keystrokes within this time (ms) make one request. */
const SETTLE = 150;

type Props = { action: string; disabled?: boolean; without?: ReadonlySet<string>; onPick: (user: User) => void };

/** A field that finds people by the beginning of their name. */
export function UserSearch({ action, disabled = false, without, onPick }: Props) {
  const { api } = useChat();
  const [prefix, setPrefix] = useState("");
  const [found, setFound] = useState<User[] | null>(null);
  const [problem, setProblem] = useState("");

  useEffect(() => {
    let wanted = true;
    const timer = setTimeout(() => {
      api.users(prefix.trim()).then(
        ({ users }) => wanted && setFound(users),
        (error: unknown) => wanted && setProblem(sentence(error)),
      );
    }, prefix === "" ? 0 : SETTLE);
    return () => {
      wanted = false;
      clearTimeout(timer);
    };
  }, [api, prefix]);

  const users = found?.filter((user) => !without?.has(user.id)) ?? [];
  return (
    <div className="stack">
      <label className="field">
        <span>Name</span>
        <input data-testid="user-search" value={prefix} autoFocus autoComplete="off" onChange={(e) => setPrefix(e.target.value)} />
      </label>
      {problem && <p className="problem" role="alert">{problem}</p>}
      <ul className="found" aria-label="People">
        {users.map((user) => (
          <li key={user.id}>
            <button className="found-user" disabled={disabled} aria-label={`${action} ${user.name}`} onClick={() => onPick(user)}>
              <Avatar user={user} small />{user.name}
            </button>
          </li>
        ))}
        {found !== null && users.length === 0 && <li className="quiet">Nobody else is found.</li>}
      </ul>
    </div>
  );
}
