%% The section `engine` of the configuration: which engine, and how it is reached. All else in it is the engine's own.
-module(emqx_omp_settings).

-export([engine/1, warnings/1]).

-define(READABLE, "who is between EMQX and the engine can read messages and the database's password").

%% Bytes of a secret.
-define(SHORTEST_SECRET, 16).
-define(LONGEST_SECRET, 1024).

%% A peer has: host, port, tls (options, or false), secret (a function, so that it is in no log), name (for people).
-spec engine(map()) -> {ok, #{mode := spawn | connect, _ => _}} | {error, binary()}.
engine(Configuration) ->
    Engine = section(<<"engine">>, Configuration),
    try
        case text(<<"mode">>, Engine, <<"spawn">>) of
            <<"spawn">> -> {ok, #{mode => spawn, node => text(<<"node">>, Engine, <<"node">>)}};
            <<"connect">> -> {ok, peer(Engine)};
            _ -> throw(<<"engine.mode must be \"spawn\" or \"connect\"">>)
        end
    catch
        throw:Text -> {error, Text}
    end.

peer(Engine) ->
    Server = text(<<"server">>, Engine, <<"127.0.0.1:9100">>),
    {Host, Port} = host_and_port(Server),
    Secret = text(<<"secret">>, Engine, <<>>),
    byte_size(Secret) >= ?SHORTEST_SECRET andalso byte_size(Secret) =< ?LONGEST_SECRET orelse
        throw(<<"engine.secret must have 16 to 1024 bytes, the same as the engine has">>),
    is_line(Secret) orelse
        throw(<<"engine.secret must be one line without blanks at its ends, the same as the engine has">>),
    #{
        mode => connect,
        host => Host,
        port => Port,
        secret => fun() -> Secret end,
        tls => tls(section(<<"ssl">>, Engine)),
        name => <<"The engine at ", Server/binary>>
    }.

%% So that nobody mistakes it where it is copied from one place to another: the engine takes no other.
is_line(Text) -> re:run(Text, "^\\s|[\\r\\n]|\\s$") =:= nomatch.

%% `host:9100`, `[::1]:9100`
host_and_port(Server) ->
    Wrong = <<"engine.server must be HOST:PORT, such as \"127.0.0.1:9100\"">>,
    case re:run(Server, "^(?:\\[([0-9A-Fa-f:.]+)\\]|([^:\\s]+)):([0-9]{1,5})$", [{capture, all_but_first, list}]) of
        {match, [Six, Host, Port]} ->
            Number = list_to_integer(Port),
            Number > 0 andalso Number < 65536 orelse throw(Wrong),
            {Six ++ Host, Number};
        nomatch ->
            throw(Wrong)
    end.

tls(Ssl) ->
    case maps:get(<<"enable">>, Ssl, false) of
        true ->
            Files = [{cacertfile, <<"cacertfile">>}, {certfile, <<"certfile">>}, {keyfile, <<"keyfile">>}],
            verify(text(<<"verify">>, Ssl, <<"verify_none">>)) ++
                server_name(text(<<"server_name_indication">>, Ssl, <<"disable">>)) ++
                [{Option, binary_to_list(File)} || {Option, Key} <- Files, (File = text(Key, Ssl, <<>>)) =/= <<>>];
        false ->
            false;
        _ ->
            throw(<<"engine.ssl.enable must be true or false">>)
    end.

verify(<<"verify_none">>) ->
    [{verify, verify_none}];
verify(<<"verify_peer">>) ->
    %% With wildcards in certificates, as everywhere else.
    Match = public_key:pkix_verify_hostname_match_fun(https),
    [{verify, verify_peer}, {customize_hostname_check, [{match_fun, Match}]}];
verify(_) ->
    throw(<<"engine.ssl.verify must be \"verify_none\" or \"verify_peer\"">>).

server_name(<<"disable">>) -> [{server_name_indication, disable}];
server_name(<<>>) -> [];
server_name(Name) -> [{server_name_indication, binary_to_list(Name)}].

section(Key, Map) ->
    case maps:get(Key, Map, #{}) of
        Section when is_map(Section) -> Section;
        _ -> #{}
    end.

text(Key, Map, Default) ->
    case maps:get(Key, Map, Default) of
        Text when is_binary(Text) -> Text;
        _ -> throw(<<"engine.", Key/binary, " must be a text">>)
    end.

%% What is allowed, and better otherwise.
warnings(#{tls := Tls, host := Host}) ->
    case {is_loopback(Host), Tls =/= false andalso proplists:get_value(verify, Tls)} of
        {true, _} -> [];
        {_, verify_peer} -> [];
        {_, verify_none} -> [<<"engine.ssl.verify is verify_none: ", ?READABLE>>];
        {_, false} -> [<<"engine.ssl is off: ", ?READABLE>>]
    end;
warnings(_) ->
    [].

is_loopback("localhost") ->
    true;
is_loopback(Host) ->
    case inet:parse_address(Host) of
        {ok, {127, _, _, _}} -> true;
        {ok, {0, 0, 0, 0, 0, 0, 0, 1}} -> true;
        _ -> false
    end.
