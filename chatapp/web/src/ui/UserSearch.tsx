import { useEffect, useRef, useState } from "react";
import { sentence } from "../api";
import type { User } from "../model";
import { Avatar } from "./Avatar";
import { useChat } from "./context";
import { focusToWrite } from "./touch";

/** Keystrokes within this time (ms) make one request. */
const SETTLE = 150;

type Props = { action: string; disabled?: boolean; without?: ReadonlySet<string>; onPick: (user: User) => void };

/** Why the list is empty. */
function nobody(prefix: string, hidden: boolean): string {
  if (prefix !== "") return `Nobody else has a name that begins with “${prefix}”.`;
  return hidden ? "Type the beginning of a name." : "Nobody else has an account yet.";
}

/** A field that finds people by the beginning of their name. */
export function UserSearch({ action, disabled = false, without, onPick }: Props) {
  const { api } = useChat();
  const field = useRef<HTMLInputElement>(null);
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

  const pick = (user: User) => {
    focusToWrite(field.current); // the person may go from the list
    onPick(user);
  };
  const users = found?.filter((user) => !without?.has(user.id)) ?? [];
  return (
    <div className="stack">
      <label className="field">
        <span>Name</span>
        <input ref={field} data-testid="user-search" value={prefix} data-autofocus autoComplete="off" onChange={(e) => setPrefix(e.target.value)} />
      </label>
      {problem && <p className="problem" role="alert">{problem}</p>}
      <ul className="found" aria-label="People">
        {users.map((user) => (
          <li key={user.id}>
            <button className="found-user" disabled={disabled} onClick={() => pick(user)}>
              <span className="unseen">{action} </span><Avatar user={user} small />{user.name}
            </button>
          </li>
        ))}
        {found !== null && users.length === 0 && <li className="quiet">{nobody(prefix.trim(), found.length > 0)}</li>}
      </ul>
    </div>
  );
}
